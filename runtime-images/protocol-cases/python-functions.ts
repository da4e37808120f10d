// The functions that the cases call, for Python.
import type { FunctionSet } from "./functions.ts";

export const pythonFunctions: FunctionSet = {
  web: {
    file: "web.py",
    source: `
import asyncio, json, logging, os, sys, time

async def text(send, body, status=200, headers=()):
    body = body if isinstance(body, bytes) else body.encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body)), *headers]})
    await send({"type": "http.response.body", "body": body})

async def body_of(receive):
    out = b""
    while True:
        message = await receive()
        out += message.get("body", b"")
        if not message.get("more_body"): return out

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                scope["state"]["started"] = "yes"
                await send({"type": "lifespan.startup.complete"})
            else:
                print("shut down")
                await send({"type": "lifespan.shutdown.complete"})
                return
    path, query = scope["path"], scope["query_string"].decode()
    if path == "/echo":
        kind = dict(scope["headers"]).get(b"content-type", b"application/octet-stream")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        while True:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
            if not more: return
    elif path == "/json": await text(send, json.dumps(json.loads(await body_of(receive)), separators=(",", ":")))
    elif scope["raw_path"].startswith(b"/url") or query == "url": await text(send, f"{scope['scheme']}://{dict(scope['headers'])[b'host'].decode()}{scope['raw_path'].decode()}{'?' + query if query else ''}")
    elif path == "/env": await text(send, json.dumps({"a": os.environ.get("A"), "name": os.environ["FNCTL_FUNCTION"]}))
    elif path == "/state": await text(send, scope["state"]["started"])
    elif path == "/cookies": await text(send, "ok", headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/")])
    elif path == "/empty":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    elif path == "/throw": raise RuntimeError("boom-inside")
    elif path == "/sys-exit": sys.exit("inside")
    elif path == "/keyboard-interrupt": raise KeyboardInterrupt("inside")
    elif path == "/cancelled": raise asyncio.CancelledError("inside")
    elif path == "/cancel-itself":
        asyncio.current_task().cancel()
        await asyncio.sleep(5)
    elif path == "/group": raise BaseExceptionGroup("inside", [SystemExit(1)])
    elif path == "/nothing": return
    elif path == "/start-only": await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    elif path == "/start-and-throw":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
        raise RuntimeError("boom-inside")
    elif path == "/body-only": await send({"type": "http.response.body", "body": b"inside"})
    elif path == "/bad-header-name": await text(send, "inside", headers=[(b"transfer-encoding", b"chunked"), (b"bad name", b"inside")])
    elif path == "/bad-header-value": await text(send, "inside", headers=[(b"x-a", b"in\\x01side")])
    elif path == "/bad-length":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"inside")]})
        await send({"type": "http.response.body", "body": b"inside"})
    elif path == "/bad-status": await text(send, "inside", status=1000)
    elif path == "/text-status": await text(send, "inside", status="200 inside")
    elif path == "/late-end":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20")]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
    elif path == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(0.02)
        raise RuntimeError("late-boom")
    elif path == "/sse":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        async def watch():
            while (await receive())["type"] != "http.disconnect": pass
        gone = asyncio.create_task(watch())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"data: tick\\n\\n", "more_body": True})
            await asyncio.sleep(0.01)
        print("stream cancelled"); print("signal aborted")
    elif path == "/wait":
        async def watch():
            while (await receive())["type"] != "http.disconnect": pass
            print("wait aborted")
        task = asyncio.create_task(watch())
        await asyncio.sleep(0.3)
        task.cancel() if not task.done() else None
        await text(send, "waited")
    elif path == "/deaf":
        print("deaf begins")
        await asyncio.sleep(0.4)
        print("deaf done")
        await text(send, "late")
    elif path == "/answer-and-throw":
        await text(send, "whole".ljust(4_000_000))
        raise RuntimeError("after-the-answer")
    elif path == "/log":
        log = logging.getLogger()
        log.setLevel(logging.DEBUG)
        log.debug("debug " + query); log.info("info " + query); log.warning("warn " + query); log.error("error " + query)
        await asyncio.sleep(0.02)
        print("half ", end=""); print("line " + query)
        await text(send, "logged")
    elif path == "/long":
        print("x" * 100_000 + "\\x1b[31m")
        await text(send, "ok")
    elif path == "/flood":
        for i in range(40_000): print("flood " + "y" * 200)
        await text(send, "flooded")
    else: await text(send, "hello", headers=[(b"content-type", b"text/plain; charset=utf-8")])
`,
  },
  lambda: {
    file: "lambda_function.py",
    source: `
import base64, time
def handler(event, context):
    path = event["rawPath"]
    if path == "/deaf":
        print("deaf begins")
        time.sleep(0.4)
        print("deaf done")
        return "late"
    if path == "/plain": return {"hello": "world"}
    if path == "/text": return "just text"
    if path == "/nothing": return None
    if path == "/full": return {"statusCode": 201, "headers": {"x-a": "1"}, "cookies": ["a=1", "b=2"], "body": base64.b64encode(bytes([0, 255])).decode(), "isBase64Encoded": True}
    if path == "/throw": raise RuntimeError("boom-inside")
    if path == "/sys-exit": raise SystemExit("inside")
    if path == "/keyboard-interrupt": raise KeyboardInterrupt("inside")
    if path == "/stop": raise StopIteration("inside")
    if path == "/bad-header": return {"statusCode": 200, "headers": {"bad name": "inside"}, "body": "inside"}
    if path == "/bad-status": return {"statusCode": 99999, "body": "inside"}
    if path == "/bad-body": return {"inside": object()}
    print("from lambda")
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis()}
`,
  },
  classic: {
    file: "classic.py",
    source: `
import time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/deaf":
        print("deaf begins")
        time.sleep(0.4)
        print("deaf done")
        start_response("200 OK", [])
        return [b"late"]
    if path == "/throw": raise RuntimeError("boom-inside")
    if path == "/sys-exit": raise SystemExit("inside")
    if path == "/keyboard-interrupt": raise KeyboardInterrupt("inside")
    if path == "/none":
        start_response("200 OK", [])
        return None
    if path == "/no-start": return [b"inside"]
    if path == "/bad-status":
        start_response("inside", [])
        return []
    if path == "/bad-header":
        start_response("200 OK", [("bad name", "inside")])
        return [b"inside"] * 100
    if path == "/stream":
        start_response("200 OK", [("content-type", "text/plain")])
        def parts():
            yield b"one\\n"
            time.sleep(0.05)
            yield b"two\\n"
        return parts()
    body = environ["wsgi.input"].read()
    print("from wsgi")
    start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"classic " + environ["REQUEST_METHOD"].encode() + b" " + path.encode() + b" " + body]
`,
  },
  failing: {
    web: {
      "/sys-exit": /SystemExit: inside/,
      "/keyboard-interrupt": /KeyboardInterrupt: inside/,
      "/cancelled": /CancelledError: inside/,
      "/cancel-itself": /CancelledError/,
      "/group": /BaseExceptionGroup: inside[^]*SystemExit: 1/,
      "/nothing": /returned without an answer/,
      "/start-only": /returned without an answer/,
      "/start-and-throw": /boom-inside/,
      "/body-only": /http\.response\.start/,
      "/bad-header-name": /Invalid HTTP header name/,
      "/bad-header-value": /Invalid HTTP header value/,
      "/bad-length": /invalid literal for int/,
      "/bad-status": /KeyError: 1000/,
      "/text-status": /KeyError: '200 inside'/,
    },
    lambda: {
      "/sys-exit": /SystemExit: inside/,
      "/keyboard-interrupt": /KeyboardInterrupt: inside/,
      "/stop": /StopIteration/,
      "/bad-header": /Invalid HTTP header name/,
      "/bad-status": /KeyError: 99999/,
      "/bad-body": /not JSON serializable/,
    },
    classic: {
      "/sys-exit": /SystemExit: inside/,
      "/keyboard-interrupt": /KeyboardInterrupt: inside/,
      "/none": /'NoneType' object is not iterable/,
      "/no-start": /http\.response\.start/,
      "/bad-status": /not enough values to unpack/,
      "/bad-header": /Invalid HTTP header name/,
    },
  },
  stuck: { file: "stuck.py", source: 'print("loading")\nwhile True: pass\n' },
  broken: {
    "syntax error": { file: "broken.py", source: "def app(:\n  pass\n", message: /SyntaxError/, stack: /broken\.py", line 1/ },
    "missing module": {
      file: "broken.py",
      source: "import not_there\n",
      message: /No module named 'not_there'/,
      stack: /broken\.py", line 1/,
    },
    "throw at import": {
      file: "broken.py",
      source: 'def start():\n    raise RuntimeError("no database")\nstart()\n',
      message: /no database/,
      stack: /broken\.py", line 2, in start/,
    },
    "no handler": { file: "broken.py", source: "other = 1\n", message: /defines no handler.*other/, stack: /no handler/ },
    "failed startup": {
      file: "broken.py",
      source:
        'async def app(scope, receive, send):\n    await receive()\n    await send({"type": "lifespan.startup.failed", "message": "Traceback: no cache"})\n',
      message: /startup failed/,
      stack: /no cache/,
    },
    "exit at import": {
      file: "broken.py",
      source: "import sys\nsys.exit(3)\n",
      message: /^The code called sys\.exit\(3\) while it was loaded\.$/,
      stack: /broken\.py", line 2/,
    },
    "interrupt at import": {
      file: "broken.py",
      source: "raise KeyboardInterrupt\n",
      message: /KeyboardInterrupt/,
      stack: /broken\.py", line 1/,
    },
    "cancellation at import": {
      file: "broken.py",
      source: 'import asyncio\nraise asyncio.CancelledError("no cache")\n',
      message: /CancelledError: no cache/,
      stack: /broken\.py", line 2/,
    },
  },
};
