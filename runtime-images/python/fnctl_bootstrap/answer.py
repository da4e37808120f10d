"""One request's answer on its way to uvicorn. The start of an answer waits for its first body, or a moment: what goes wrong until then can still
be told as a failure (ASGI, HTTP: a server need not flush the start before the first body). A stream's client gets its head soon in any case."""

from asyncio import get_running_loop
from typing import Any

_HOLD_SECONDS = 0.02


class _Holding:
    """Answers whose start is held back. One timer for all of them costs a request next to nothing."""

    def __init__(self) -> None:
        self._answers: set[Answer] = set()
        self._armed = False
        self.discard = self._answers.discard

    def add(self, answer: "Answer") -> None:
        self._answers.add(answer)
        if not self._armed:
            self._armed = True
            get_running_loop().call_later(_HOLD_SECONDS, self._look)

    def _look(self) -> None:
        self._armed = False
        held = list(self._answers)
        self._answers.clear()
        for answer in held:
            answer.let_go()


_holding = _Holding()


class Answer:
    __slots__ = ("_going", "_held", "_send", "cycle")

    def __init__(self, send: Any) -> None:
        self._send = send
        # uvicorn's RequestResponseCycle; its fields say what is on the wire.
        self.cycle = send.__self__
        self._held: Any = None
        self._going: Any = None

    async def send(self, message: Any) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            _holding.discard(self)
            await self._start(held)
        elif self._going is not None:
            await self._gone()
        elif not self.cycle.response_started and message["type"] == "http.response.start":
            self._held = message
            _holding.add(self)
            return
        await self._send(message)

    def let_go(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._going = get_running_loop().create_task(self._start(held))

    async def settle(self) -> None:
        """Nothing more comes: a start that is still held back is dropped. Raises what went wrong with one that was let go."""
        self._held = None
        if self._going is not None:
            await self._gone()

    @property
    def wanting(self) -> bool:
        """There is somebody who waits for more."""
        return not self.cycle.response_complete and not self.cycle.disconnected

    async def _gone(self) -> None:
        going, self._going = self._going, None
        await going

    async def _start(self, message: Any) -> None:
        try:
            await self._send(message)
        except BaseException:
            # uvicorn writes the head at once and last, so nothing of it is out; another may be sent.
            self.cycle.response_started = False
            self.cycle.chunked_encoding = None
            self.cycle.expected_content_length = 0
            raise
