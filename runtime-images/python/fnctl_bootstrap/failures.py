"""What a client is told when the function fails: that it failed. The traceback goes to the log."""

import json
import traceback
from typing import Any

PROBLEM_TYPE = b"application/problem+json"


def function_error(request_id: str | None) -> dict[str, Any]:
    """Body of the answer; the request id is what the owner looks for in the log."""
    return {
        "type": "urn:fnctl:error:FUNCTION_ERROR",
        "title": "The function failed",
        "status": 500,
        "code": "FUNCTION_ERROR",
        "detail": "The function threw an error; its log has the details.",
        **({} if request_id is None else {"requestId": request_id}),
    }


def user_trace(error: BaseException) -> str:
    """The traceback without the frames of this bootstrap and of Python's import machinery."""
    shown = traceback.TracebackException.from_exception(error)
    pending = [shown]
    while pending:
        part = pending.pop()
        frames = [frame for frame in part.stack if not frame.filename.startswith(("/opt/fnctl/", "<frozen importlib")) and "/fnctl_bootstrap/" not in frame.filename]
        part.stack[:] = frames
        pending += [inner for inner in (part.__cause__, part.__context__) if inner is not None]
    return "".join(shown.format())


async def send_json(send: Any, status: int, value: Any, content_type: bytes = b"application/json") -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Any, status: int, code: str, detail: str) -> None:
    await send_json(send, status, {"type": f"urn:fnctl:error:{code}", "title": code, "status": status, "code": code, "detail": detail}, PROBLEM_TYPE)
