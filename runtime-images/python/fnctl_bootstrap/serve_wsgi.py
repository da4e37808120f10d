"""A WSGI app as an ASGI app."""

from collections.abc import Callable
from typing import Any

from a2wsgi import WSGIMiddleware


def wsgi_app(handler: Callable[..., Any], concurrency: int) -> Callable[..., Any]:
    middleware = WSGIMiddleware(handler, workers=min(concurrency, 64))

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        held: dict[str, Any] | None = None
        failed: Exception | None = None

        async def sending(message: dict[str, Any]) -> None:
            nonlocal held, failed
            if message["type"] == "http.response.start":
                held = message  # PEP 3333, "The start_response() Callable": not sent before there is a body
            elif failed is None:
                # A failure that the middleware saw would leave the app's thread waiting for ever: the rest is taken, and goes nowhere.
                try:
                    if held is not None:
                        start, held = held, None
                        await send(start)
                    await send(message)
                except Exception as error:
                    failed = error

        await middleware(scope, receive, sending)
        if failed is not None:
            raise failed

    return app
