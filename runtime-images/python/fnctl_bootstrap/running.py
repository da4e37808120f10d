"""The handlers that run now. The platform asks for the end of one whose client left, because until then its place is taken."""

import time
from asyncio import Future, get_running_loop
from collections import deque

from .context import RequestContext


class Run:
    __slots__ = ("context", "started", "waiting")

    def __init__(self, context: RequestContext) -> None:
        self.context = context
        self.started = time.monotonic()
        self.waiting: list[Future[None]] | None = None


# Runs that ended last.
_REMEMBERED = 16


class Running:
    def __init__(self) -> None:
        self._runs: set[Run] = set()
        self._past: deque[tuple[Run, float]] = deque(maxlen=_REMEMBERED)

    def begin(self, context: RequestContext) -> Run:
        run = Run(context)
        self._runs.add(run)
        return run

    def only_at(self, at: float) -> RequestContext | None:
        """The only request that ran at this time (`time.monotonic`); None: there were several, or none."""
        found = [run for run, ended in self._past if run.started <= at <= ended]
        found += [run for run in self._runs if run.started <= at]
        return found[0].context if len(found) == 1 else None

    def end(self, run: Run) -> None:
        self._runs.discard(run)
        self._past.append((run, time.monotonic()))
        for future in run.waiting or ():
            if not future.done():
                future.set_result(None)

    async def settled(self, exchange: str | None) -> None:
        """Returns once none of the handlers that run now for this exchange runs any more; None: for any."""
        for run in list(self._runs):
            if run in self._runs and (exchange is None or run.context.exchange == exchange):
                future: Future[None] = get_running_loop().create_future()
                if run.waiting is None:
                    run.waiting = []
                run.waiting.append(future)
                await future
