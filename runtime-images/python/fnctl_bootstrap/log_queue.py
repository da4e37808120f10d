"""Lines that wait for the pipe, within a size. When it is full the request that has most of them waiting loses its newest: one that prints
without end does not cost the others their few lines."""

from collections import deque


class LogQueue:
    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._waiting: deque[tuple[bytes, str]] = deque()
        self._bytes = 0
        # Waiting bytes of each request.
        self._held: dict[str, int] = {}

    def push(self, line: bytes, request: str) -> int:
        """Adds a line; answers how many lines had to go, this one perhaps among them."""
        dropped = 0
        while self._bytes + len(line) > self._most:
            heaviest = max(self._held, key=self._held.__getitem__, default="")
            own = self._held.get(request, 0) + len(line)
            if own >= self._held.get(heaviest, 0) or not self._drop_one(heaviest):
                return dropped + 1
            dropped += 1
        self._waiting.append((line, request))
        self._count(request, len(line))
        return dropped

    def first(self) -> bytes | None:
        """The first line, or what is left of it."""
        return self._waiting[0][0] if self._waiting else None

    def written(self, size: int) -> None:
        line, request = self._waiting.popleft()
        self._count(request, -size)
        if size < len(line):
            self._waiting.appendleft((line[size:], request))

    def _drop_one(self, request: str) -> bool:
        # The newest of this request; the first of all may be half written, and stays.
        for at in range(len(self._waiting) - 1, 0, -1):
            line, owner = self._waiting[at]
            if owner == request:
                del self._waiting[at]
                self._count(owner, -len(line))
                return True
        return False

    def _count(self, request: str, change: int) -> None:
        self._bytes += change
        left = self._held.get(request, 0) + change
        if left > 0:
            self._held[request] = left
        else:
            self._held.pop(request, None)
