"""The handlers that run now. The platform asks for the end of one whose client left, because until then its place is taken."""

from asyncio import Future, get_running_loop

from .context import RequestContext


class Run:
    __slots__ = ("context", "waiting")

    def __init__(self, context: RequestContext) -> None:
        self.context = context
        self.waiting: list[Future[None]] | None = None


class Running:
    def __init__(self) -> None:
        self._runs: set[Run] = set()

    def begin(self, context: RequestContext) -> Run:
        run = Run(context)
        self._runs.add(run)
        return run

    def end(self, run: Run) -> None:
        self._runs.discard(run)
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
