"""Which request the running code belongs to. Threads and tasks started by a request inherit it."""

import time
from contextvars import ContextVar

from .protocol import EXCHANGE_HEADER, REQUEST_ID_HEADER, TIMEOUT_HEADER


class RequestContext:
    """Holds the header list as it came; most requests never ask for more."""

    __slots__ = ("_headers", "_started")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._headers = headers
        self._started = time.monotonic()

    def _header(self, wanted: bytes) -> str | None:
        for name, value in self._headers:
            if name == wanted:
                return value.decode("latin-1")
        return None

    @property
    def request_id(self) -> str | None:
        return self._header(REQUEST_ID_HEADER)

    @property
    def exchange(self) -> str | None:
        return self._header(EXCHANGE_HEADER)

    def remaining_ms(self) -> int | None:
        """Milliseconds until the platform answers for the function; None without a deadline."""
        left = self._header(TIMEOUT_HEADER)
        if left is None or not left.isdigit():
            return None
        return max(0, int(left) - int((time.monotonic() - self._started) * 1000))


current_request: ContextVar[RequestContext | None] = ContextVar("fnctl_request", default=None)
