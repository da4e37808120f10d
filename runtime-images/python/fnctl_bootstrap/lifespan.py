"""Runs the startup and shutdown of an ASGI app (asgi.readthedocs.io, "Lifespan Protocol") by uvicorn's own part, keeping why a startup failed."""

from typing import Any

from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn


class StartupFailed(Exception):
    """The app said no at its startup; the text is its own traceback."""


async def start_lifespan(app: Any) -> LifespanOn:
    failure: list[str] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                failure.append(message.get("message") or "The application's startup failed.")
            await send(message)

        await app(scope, receive, watch)

    config = Config(watched, lifespan="auto", log_config=None, interface="asgi3", ws="none")
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    if failure or lifespan.should_exit:
        raise StartupFailed(failure[0] if failure else "The application's startup failed.")
    return lifespan
