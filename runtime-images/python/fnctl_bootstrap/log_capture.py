"""Turns print(), sys.stdout, sys.stderr and logging into records: one line with level, request id and message."""

import atexit
import io
import json
import logging
import re
import sys
import threading
import traceback
from typing import Any

from .context import current_request
from .end_on_sigterm import before_end
from .log_pipe import LogPipe
from .protocol import LOG_LINE_BYTES, RECORD_MARK

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")
_CUT_NOTE = "… (cut)"
_EXIT_FLUSH_SECONDS = 0.2


def encode_record(level: str, message: str) -> bytes:
    """One record as it goes on the wire, at most LOG_LINE_BYTES long."""
    request = current_request.get()
    request_id = request.request_id if request is not None else None
    head: dict[str, str] = {"l": level}
    if request_id is not None and _REQUEST_ID.match(request_id):
        head["r"] = request_id

    def encode(text: str) -> bytes:
        # ASCII with escapes is valid for every str, lone surrogates included.
        return f"{RECORD_MARK}{json.dumps({**head, 'm': text}, separators=(',', ':'))}\n".encode("ascii")

    if len(message) < LOG_LINE_BYTES and len(whole := encode(message)) <= LOG_LINE_BYTES:
        return whole
    text = message[: LOG_LINE_BYTES - 200]
    while len(cut := encode(text + _CUT_NOTE)) > LOG_LINE_BYTES:
        text = text[: int(len(text) * 0.75)]
    return cut


class Output:
    """The two pipes and the level that belongs to each."""

    def __init__(self) -> None:
        def note(lines: int) -> bytes:
            return encode_record("warn", f"{lines} log lines were dropped, because they came faster than they could be taken.")

        self._out = LogPipe(1, note)
        self._err = LogPipe(2, note)

    def log(self, level: str, message: str) -> None:
        pipe = self._err if level in ("warn", "error") else self._out
        request = current_request.get()
        pipe.write(encode_record(level, message), request.request_id or "" if request is not None else "")

    def flush(self) -> None:
        self._out.flush(_EXIT_FLUSH_SECONDS)
        self._err.flush(_EXIT_FLUSH_SECONDS)


class _LineStream(io.TextIOBase):
    """sys.stdout or sys.stderr: every finished line is a record."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, output: Output, level: str, fd: int) -> None:
        self._output = output
        self._level = level
        self._fd = fd
        # A line belongs to the thread that prints it.
        self._rest = threading.local()
        self.buffer = _ByteStream(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        rest = getattr(self._rest, "text", "") + text
        *lines, rest = rest.split("\n")
        self._rest.text = rest[: 64 * 1024]
        for line in lines:
            self._output.log(self._level, line)
        return len(text)

    def end_line(self) -> None:
        if getattr(self._rest, "text", ""):
            self._output.log(self._level, self._rest.text)
            self._rest.text = ""

    def flush(self) -> None:
        """Lines go out as they end; an unfinished one waits for its end."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


class _ByteStream(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, text: _LineStream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._text.write(data.decode("utf-8", "replace"))
        return len(data)


_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))


class _RecordHandler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next((name for number, name in _LEVELS if record.levelno >= number), "debug")
            text = self.format(record)
            self._output.log(level, text if record.name == "root" else f"{record.name}: {text}")
        except Exception:
            self.handleError(record)


def capture_output() -> Output:
    """Must run before user code is imported."""
    output = Output()
    sys.stdout = sys.__stdout__ = out = _LineStream(output, "info", 1)
    sys.stderr = sys.__stderr__ = err = _LineStream(output, "error", 2)
    logging.getLogger().addHandler(_RecordHandler(output))
    logging.getLogger().setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.basicConfig = _basic_config(logging.basicConfig)

    def log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        output.log("error", "".join(traceback.format_exception(kind, error, trace)))

    sys.excepthook = log_uncaught
    threading.excepthook = lambda args: log_uncaught(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)

    def finish() -> None:
        out.end_line()
        err.end_line()
        output.flush()

    atexit.register(finish)
    before_end(finish)
    return output


def _basic_config(original: Any) -> Any:
    """The root logger has a handler already, so the real one would ignore everything, the level included. Only what names a place of its own passes."""

    def basic_config(**settings: Any) -> None:
        if settings.get("force") or settings.get("filename") or settings.get("handlers"):
            original(**settings)
            return
        root = logging.getLogger()
        if settings.get("level") is not None:
            root.setLevel(settings["level"])
        if settings.get("format") is not None:
            formatter = logging.Formatter(settings["format"], settings.get("datefmt"), settings.get("style", "%"))
            for handler in root.handlers:
                handler.setFormatter(formatter)

    return basic_config
