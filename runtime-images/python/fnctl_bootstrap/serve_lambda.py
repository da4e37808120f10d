"""Lambda style `handler(event, context)` as an ASGI app: events and answers in API Gateway's payload format 2.0."""

import asyncio
import base64
import contextvars
import datetime
import functools
import inspect
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from .context import current_request

_TEXT_TYPE = re.compile(r"(?:text/|application/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-www-form-urlencoded)\b)", re.IGNORECASE)


class LambdaContext:
    def __init__(self, function: str, version: str, memory_mib: int) -> None:
        self._request = current_request.get()
        self.aws_request_id = (self._request.request_id if self._request else None) or ""
        self.function_name = function
        self.function_version = version
        self.memory_limit_in_mb = str(memory_mib)

    def get_remaining_time_in_millis(self) -> int:
        return (self._request.remaining_ms() if self._request else None) or 0


def lambda_app(handler: Callable[..., Any], function: str, version: str, memory_mib: int, concurrency: int) -> Callable[..., Any]:
    # Plain functions run in threads, so that one of them does not stop the others.
    pool = ThreadPoolExecutor(max_workers=min(concurrency, 64), thread_name_prefix="handler")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("Lambda style handlers serve HTTP only.")
        event = _event(scope, await _body(receive))
        context = LambdaContext(function, version, memory_mib)
        if inspect.iscoroutinefunction(handler):
            answer = await handler(event, context)
        else:
            call = functools.partial(contextvars.copy_context().run, handler, event, context)
            answer = await asyncio.get_running_loop().run_in_executor(pool, call)
        await _send(send, answer)

    return app


async def _body(receive: Any) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("The client went away before its request was read.")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _event(scope: dict[str, Any], body: bytes) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}" if name in headers else value
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    is_text = bool(_TEXT_TYPE.match(headers.get("content-type", "text/plain"))) and "content-encoding" not in headers
    request = current_request.get()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "domainName": headers.get("host", ""),
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": headers.get("x-forwarded-for", "").split(",")[0].strip(),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": (request.request_id if request else None) or "",
            "routeKey": "$default",
            "stage": "$default",
            "time": datetime.datetime.now(datetime.UTC).isoformat(),
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if "cookie" in headers:
        event["cookies"] = headers["cookie"].split("; ")
    if query:
        event["queryStringParameters"] = _query_parameters(query)
    if body:
        event["body"] = body.decode("utf-8", "replace") if is_text else base64.b64encode(body).decode()
    return event


def _query_parameters(query: str) -> dict[str, str]:
    """Values of a repeated name are joined by commas, as API Gateway does."""
    result: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        result[name] = f"{result[name]},{value}" if name in result else value
    return result


async def _send(send: Any, answer: Any) -> None:
    """A dict with an integer `statusCode` is a whole answer; any other value is the body of a 200, JSON unless it is a str."""
    if isinstance(answer, dict) and isinstance(answer.get("statusCode"), int):
        whole = answer
    else:
        whole = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": answer if isinstance(answer, str) else json.dumps(answer)}
    text = whole.get("body")
    if text is None:
        text = ""
    elif not isinstance(text, str):
        text = json.dumps(text)
    body = base64.b64decode(text) if whole.get("isBase64Encoded") else text.encode()
    headers = [(name.lower().encode(), str(value).encode("latin-1")) for name, value in (whole.get("headers") or {}).items()]
    for name, values in (whole.get("multiValueHeaders") or {}).items():
        headers += [(name.lower().encode(), str(value).encode("latin-1")) for value in values]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in whole.get("cookies") or ()]
    names = {name for name, _ in headers}
    if body and b"content-type" not in names:
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    status = whole["statusCode"]
    if b"content-length" not in names and status not in (204, 304) and status >= 200:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
