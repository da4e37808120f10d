"""Writes to fd 1 or 2 without ever blocking a request: what the collector does not take is buffered up to a limit, then dropped and counted."""

import os
import select
import stat
import threading
import time
from collections.abc import Callable

from .log_queue import LogQueue

BUFFER_BYTES = 256 * 1024


class LogPipe:
    def __init__(self, fd: int, dropped_note: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._dropped_note = dropped_note
        self._queue = LogQueue(BUFFER_BYTES)
        self._dropped = 0
        # Re-entrant, because a signal handler that logs may interrupt a write in the same thread.
        self._lock = threading.RLock()
        self._waiting = False
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            os.set_blocking(fd, False)

    def write(self, line: bytes, request: str = "") -> None:
        """`request`: whose line it is; none: of no request."""
        with self._lock:
            self._dropped += self._queue.push(line, request)
            if not self._waiting and not self._drain():
                self._waiting = True
                threading.Thread(target=self._wait_and_drain, name="fnctl-log", daemon=True).start()

    def flush(self, seconds: float) -> None:
        """Last attempt at exit; returns after at most `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._lock:
                if self._drain():
                    return
            select.select([], [self._fd], [], max(0.0, end - time.monotonic()))

    def _drain(self) -> bool:
        """Writes until the queue is empty (True) or the pipe is full (False)."""
        while (chunk := self._queue.first()) is not None or self._dropped:
            if chunk is None:
                note = self._dropped_note(self._dropped)
                self._dropped = 0
                self._queue.push(note, "")
                continue
            try:
                written = os.write(self._fd, chunk)
            except BlockingIOError:
                return False
            except OSError:
                written = len(chunk)  # nobody reads any more
            self._queue.written(written)
        return True

    def _wait_and_drain(self) -> None:
        while True:
            select.select([], [self._fd], [], 1.0)
            with self._lock:
                if self._drain():
                    self._waiting = False
                    return
            time.sleep(0.02)
