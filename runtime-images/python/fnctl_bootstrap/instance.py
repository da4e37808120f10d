"""The instance: its state, the platform's routes, and every other request handed to the function."""

import asyncio
import json
import os
import re
from typing import Any

from .answer import Answer
from .context import RequestContext, current_request
from .failures import PROBLEM_TYPE, function_error, send_json, send_problem, user_trace
from .lifespan import StartupFailed
from .load import load_function
from .log_capture import Output
from .names import Names
from .protocol import CODE_DIGEST_HEADER, CODE_PATH, HEALTH_PATH, INIT_PATH, PREFIX, PROTOCOL, RUNTIME, SETTLED_PATH
from .running import Running

# Before each line of names.pl: the time of CLOCK_MONOTONIC, seconds.
_STAMP = re.compile(r"\d+\.\d+")
_INIT_BODY_BYTES = 1024 * 1024


class Instance:
    def __init__(self, code_folder: str, output: Output, code_bytes: int | None = None, names: Names | None = None) -> None:
        self._names = names
        self._code_folder = code_folder
        # In a pod, the most that the code may have which is sent in; elsewhere it lies there already.
        self._code_bytes = code_bytes
        self._code: str | None = None
        self._receiving = False
        self._output = output
        self._state = "idle"
        self._app: Any = None
        self._running = Running()
        # Set by the server: receives the lifespan whose shutdown it has to run.
        self.on_lifespan: Any = lambda _lifespan: None

    @property
    def is_ready(self) -> bool:
        return self._state == "ready"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith(PREFIX):
            await self._platform(scope, receive, send)
            return
        if self._app is None:
            await send_problem(send, 503, "UNAVAILABLE", f"The instance is {self._state}.")
            return
        headers = scope["headers"]
        context = RequestContext(headers)
        current_request.set(context)
        for name, value in headers:
            if name == b"x-forwarded-proto":
                if value == b"https":
                    scope["scheme"] = "https"
                break
        answer = Answer(send)
        run = self._running.begin(context)
        try:
            await self._app(scope, receive, answer.send)
            if answer.wanting:
                await answer.settle()
                begun = answer.cycle.response_started
                await self._failed("The app returned before its answer was whole." if begun else "The app returned without an answer.", answer, send)
        except GeneratorExit:
            raise
        except BaseException as error:
            # An exit, an interrupt and a cancellation of the app's own are failures of this request like any other.
            await self._failed(error, answer, send)
        finally:
            self._running.end(run)

    async def _failed(self, error: BaseException | str, answer: Answer, send: Any) -> None:
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        self._output.log("error", error if isinstance(error, str) else user_trace(error))
        try:
            await answer.settle()
        except (Exception, asyncio.CancelledError):  # noqa: S110 - that it could not be sent follows from what was logged
            pass
        if not answer.wanting:
            return
        # With half an answer out, uvicorn cuts the connection of an app that raises, so that the rest is not taken for whole.
        if answer.cycle.response_started:
            raise error if isinstance(error, BaseException) else RuntimeError(error)
        context = current_request.get()
        await send_json(send, 500, function_error(context and context.request_id), PROBLEM_TYPE)

    async def _platform(self, scope: Any, receive: Any, send: Any) -> None:
        call = (scope["method"], scope["path"])
        if call == ("GET", HEALTH_PATH):
            code = {} if self._code is None else {"code": self._code}
            await send_json(send, 200, {"state": self._state, "runtime": RUNTIME, "protocol": PROTOCOL, **code})
        elif call == ("GET", SETTLED_PATH):
            await self._running.settled(RequestContext(scope["headers"]).exchange)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        elif call == ("POST", INIT_PATH):
            await self._init(receive, send)
        elif call == ("PUT", CODE_PATH) and self._code_bytes is not None:
            await self._take_code(scope, receive, send, self._code_bytes)
        else:
            await send_problem(send, 404, "NOT_FOUND", "The runtime protocol has no such call.")

    async def _take_code(self, scope: Any, receive: Any, send: Any, max_bytes: int) -> None:
        digest = dict(scope["headers"]).get(CODE_DIGEST_HEADER, b"").decode("latin-1")
        if self._code == digest and self._state == "idle":
            await send_json(send, 200, {})
            return
        if self._state != "idle" or self._receiving or self._code is not None:
            await send_problem(send, 409, "CONFLICT", "The code is sent once, before init.")
            return
        self._receiving = True
        from .receive_code import CodeRefused, receive_code

        try:
            await receive_code(receive, digest, self._code_folder, max_bytes)
        except CodeRefused as error:
            self._state = "failed"
            await send_problem(send, error.status, "PAYLOAD_TOO_LARGE" if error.status == 413 else "DIGEST_MISMATCH", str(error))
            return
        finally:
            self._receiving = False
        self._code = digest
        await send_json(send, 201, {})

    async def _init(self, receive: Any, send: Any) -> None:
        if self._state != "idle":
            await send_problem(send, 409, "CONFLICT", f"The instance is {self._state}; init is sent once.")
            return
        if self._code_bytes is not None and self._code is None:
            await send_problem(send, 409, "CONFLICT", "The code comes before init.")
            return
        self._state = "loading"
        try:
            init = json.loads(await _read(receive))
            self._begin_names(init.get("egress"))
            loaded = await load_function(init, self._code_folder)
        except BaseException as error:
            self._state = "failed"
            await send_json(send, 422, _init_failure(error))
            return
        if loaded.lifespan is not None:
            self.on_lifespan(loaded.lifespan)
        self._app = loaded.app
        self._state = "ready"
        await send_json(send, 200, {"importMs": loaded.import_ms, "kind": loaded.kind})


    def _begin_names(self, egress: Any) -> None:
        if self._names is None:
            return
        self._names.begin(egress)
        if self._names.lines is not None:
            asyncio.get_running_loop().add_reader(self._names.lines, self._tell_of_names, self._names.lines)

    def _tell_of_names(self, lines: int) -> None:
        """What was refused is told with the request that asked for it, if that is known: the only one that ran then. A line is written at once."""
        data = os.read(lines, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(lines)
        for line in data.decode("utf-8", "replace").splitlines():
            at, _, said = line.partition(" ")
            token = current_request.set(self._running.only_at(float(at)) if _STAMP.fullmatch(at) else None)
            self._output.log("warn", said)
            current_request.reset(token)


def _init_failure(error: BaseException) -> dict[str, str]:
    if isinstance(error, StartupFailed):
        return {"message": "The application's startup failed.", "stack": str(error)[-16_000:]}
    if isinstance(error, SystemExit):
        code = "" if error.code is None else json.dumps(error.code, default=str)
        return {"message": f"The code called sys.exit({code}) while it was loaded.", "stack": user_trace(error)[-16_000:]}
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
