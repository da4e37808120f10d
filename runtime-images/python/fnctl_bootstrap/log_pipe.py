"""Writes to fd 1 or 2 without ever blocking a request: what the collector does not take is buffered up to a limit, then dropped and counted."""

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

BUFFER_BYTES = 256 * 1024


class LogPipe:
    def __init__(self, fd: int, dropped_note: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._dropped_note = dropped_note
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._dropped = 0
        # Re-entrant, because a signal handler that logs may interrupt a write in the same thread.
        self._lock = threading.RLock()
        self._waiting = False
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            os.set_blocking(fd, False)

    def write(self, line: bytes) -> None:
        with self._lock:
            if self._queued + len(line) > BUFFER_BYTES:
                self._dropped += 1
            else:
                self._push(line)
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

    def _push(self, line: bytes) -> None:
        self._queue.append(line)
        self._queued += len(line)

    def _drain(self) -> bool:
        """Writes until the queue is empty (True) or the pipe is full (False)."""
        while self._queue or self._dropped:
            if not self._queue:
                self._push(self._dropped_note(self._dropped))
                self._dropped = 0
            chunk = self._queue[0]
            try:
                written = os.write(self._fd, chunk)
            except BlockingIOError:
                return False
            except OSError:
                written = len(chunk)  # nobody reads any more
            self._queued -= written
            if written == len(chunk):
                self._queue.popleft()
            else:
                self._queue[0] = chunk[written:]
        return True

    def _wait_and_drain(self) -> None:
        while True:
            select.select([], [self._fd], [], 1.0)
            with self._lock:
                if self._drain():
                    self._waiting = False
                    return
            time.sleep(0.02)
