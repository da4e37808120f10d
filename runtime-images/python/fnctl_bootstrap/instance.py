"""The instance: its state, the platform's routes, and every other request handed to the function."""

import json
from typing import Any

from .context import RequestContext, current_request
from .failures import PROBLEM_TYPE, function_error, send_json, send_problem, user_trace
from .lifespan import StartupFailed
from .load import load_function
from .log_capture import Output
from .protocol import HEALTH_PATH, INIT_PATH, PREFIX, PROTOCOL, RUNTIME

_INIT_BODY_BYTES = 1024 * 1024


class Instance:
    def __init__(self, code_folder: str, output: Output) -> None:
        self._code_folder = code_folder
        self._output = output
        self._state = "idle"
        self._app: Any = None
        # Set by the server: receives the lifespan whose shutdown it has to run.
        self.on_lifespan: Any = lambda _lifespan: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith(PREFIX):
            await self._platform(scope["method"], path, receive, send)
            return
        if self._app is None:
            await send_problem(send, 503, "UNAVAILABLE", f"The instance is {self._state}.")
            return
        headers = scope["headers"]
        current_request.set(RequestContext(headers))
        for name, value in headers:
            if name == b"x-forwarded-proto":
                if value == b"https":
                    scope["scheme"] = "https"
                break
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            await self._failed(error, send)

    async def _failed(self, error: Exception, send: Any) -> None:
        self._output.log("error", user_trace(error))
        # uvicorn's request cycle; with half an answer out, raising makes it cut the connection, so that the rest is not taken for whole.
        if getattr(getattr(send, "__self__", None), "response_started", True):
            raise error
        context = current_request.get()
        await send_json(send, 500, function_error(context and context.request_id), PROBLEM_TYPE)

    async def _platform(self, method: str, path: str, receive: Any, send: Any) -> None:
        if (method, path) == ("GET", HEALTH_PATH):
            await send_json(send, 200, {"state": self._state, "runtime": RUNTIME, "protocol": PROTOCOL})
        elif (method, path) == ("POST", INIT_PATH):
            await self._init(receive, send)
        else:
            await send_problem(send, 404, "NOT_FOUND", "The runtime protocol has no such call.")

    async def _init(self, receive: Any, send: Any) -> None:
        if self._state != "idle":
            await send_problem(send, 409, "CONFLICT", f"The instance is {self._state}; init is sent once.")
            return
        self._state = "loading"
        try:
            loaded = await load_function(json.loads(await _read(receive)), self._code_folder)
        except (Exception, SystemExit) as error:
            self._state = "failed"
            await send_json(send, 422, _init_failure(error))
            return
        if loaded.lifespan is not None:
            self.on_lifespan(loaded.lifespan)
        self._app = loaded.app
        self._state = "ready"
        await send_json(send, 200, {"importMs": loaded.import_ms, "kind": loaded.kind})


def _init_failure(error: BaseException) -> dict[str, str]:
    if isinstance(error, StartupFailed):
        return {"message": "The application's startup failed.", "stack": str(error)[-16_000:]}
    return {"message": f"{type(error).__name__}: {error}", "stack": user_trace(error)[-16_000:]}


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _INIT_BODY_BYTES:
            raise ValueError("The init request is too large.")
        if not message.get("more_body", False):
            return body
