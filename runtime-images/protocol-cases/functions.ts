// The same functions, once for Node and once for Python: what the cases call.
export interface CaseFunction {
  file: string;
  source: string;
}
export interface FunctionSet {
  /** Web style: Node `{fetch}`, Python ASGI. */
  web: CaseFunction;
  /** Lambda style. */
  lambda: CaseFunction;
  /** The older style of the language: Node listener, Python WSGI. */
  classic: CaseFunction;
  /** What must not load, and what its 422 must name. */
  broken: Record<string, CaseFunction & { message: RegExp; stack: RegExp }>;
}

export const nodeFunctions: FunctionSet = {
  web: {
    file: "web.mjs",
    source: `
const encoder = new TextEncoder();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
  async fetch(request, context) {
    const { pathname, search } = new URL(request.url);
    switch (pathname) {
      case "/echo": return new Response(request.body, { headers: { "content-type": request.headers.get("content-type") ?? "application/octet-stream" } });
      case "/json": return Response.json(await request.json());
      case "/url": return new Response(request.url);
      case "/env": return Response.json({ a: process.env.A, name: process.env.FNCTL_FUNCTION });
      case "/cookies": return new Response("ok", { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2; Path=/"]] });
      case "/empty": return new Response(null, { status: 204 });
      case "/throw": throw new Error("boom-inside");
      case "/late": return new Response(new ReadableStream({ async pull(c) { if (this.sent) { await sleep(20); c.error(new Error("late-boom")); } else { this.sent = true; c.enqueue(encoder.encode("first")); } } }));
      case "/sse": return new Response(new ReadableStream({
        start() { request.signal.addEventListener("abort", () => console.log("signal aborted")); },
        async pull(c) { await sleep(10); c.enqueue(encoder.encode("data: tick\\n\\n")); },
        cancel() { console.log("stream cancelled"); },
      }), { headers: { "content-type": "text/event-stream" } });
      case "/wait": request.signal.addEventListener("abort", () => console.log("wait aborted")); await sleep(300); return new Response("waited");
      case "/log": {
        const tag = search.slice(1);
        console.debug("debug " + tag); console.log("info " + tag); console.warn("warn " + tag); console.error("error " + tag);
        await sleep(20); process.stdout.write("half "); process.stdout.write("line " + tag + "\\n");
        return new Response("logged");
      }
      case "/long": console.log("x".repeat(100_000) + "\\u001b[31m"); return new Response("ok");
      case "/flood": for (let i = 0; i < 40_000; i++) console.log("flood " + "y".repeat(200)); return new Response("flooded");
      case "/left": return Response.json(context.getRemainingTimeInMillis());
      case "/crash": setTimeout(() => { Promise.reject(new Error("left-alone")); }, 5); return new Response("soon");
      default: return new Response("hello");
    }
  },
};`,
  },
  lambda: {
    file: "lambda.mjs",
    source: `
export const handler = async (event, context) => {
  switch (event.rawPath) {
    case "/plain": return { hello: "world" };
    case "/text": return "just text";
    case "/nothing": return undefined;
    case "/full": return { statusCode: 201, headers: { "x-a": "1" }, cookies: ["a=1", "b=2"], body: Buffer.from([0, 255]).toString("base64"), isBase64Encoded: true };
    case "/throw": throw new Error("boom-inside");
    default: console.log("from lambda"); return { event, id: context.awsRequestId, left: context.getRemainingTimeInMillis() };
  }
};`,
  },
  classic: {
    file: "classic.mjs",
    source: `
export default async (req, res) => {
  if (req.url === "/throw") throw new Error("boom-inside");
  if (req.url === "/stream") { res.writeHead(200, { "content-type": "text/plain" }); res.write("one\\n"); setTimeout(() => res.end("two\\n"), 50); return; }
  if (req.url === "/trailers") { res.writeHead(200, { trailer: "x-sum" }); res.write("body"); res.addTrailers({ "x-sum": "42" }); res.end(); return; }
  if (req.url === "/hints") { res.writeEarlyHints({ link: "</a.css>; rel=preload" }); res.end("hinted"); return; }
  const chunks = []; for await (const chunk of req) chunks.push(chunk);
  res.setHeader("set-cookie", ["a=1", "b=2"]);
  res.end("classic " + req.method + " " + req.url + " " + Buffer.concat(chunks).toString());
};`,
  },
  broken: {
    "syntax error": { file: "broken.mjs", source: "export default {\n  fetch( {\n};\n", message: /SyntaxError/, stack: /broken\.mjs:3/ },
    "missing module": {
      file: "broken.mjs",
      source: 'import "not-there";\nexport default () => new Response();\n',
      message: /Cannot find package 'not-there'.*broken\.mjs/s,
      stack: /not-there/,
    },
    "throw at import": {
      file: "broken.mjs",
      source: 'function start() { throw new Error("no database"); }\nstart();\nexport default {};\n',
      message: /no database/,
      stack: /at start \(.*broken\.mjs:1/,
    },
    "no handler": { file: "broken.mjs", source: "export const other = 1;\n", message: /exports no handler.*other/, stack: /no handler/ },
  },
};

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
import base64
def handler(event, context):
    path = event["rawPath"]
    if path == "/plain": return {"hello": "world"}
    if path == "/text": return "just text"
    if path == "/nothing": return None
    if path == "/full": return {"statusCode": 201, "headers": {"x-a": "1"}, "cookies": ["a=1", "b=2"], "body": base64.b64encode(bytes([0, 255])).decode(), "isBase64Encoded": True}
    if path == "/throw": raise RuntimeError("boom-inside")
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
    if path == "/throw": raise RuntimeError("boom-inside")
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
    "exit at import": { file: "broken.py", source: "import sys\nsys.exit(3)\n", message: /SystemExit/, stack: /broken\.py", line 2/ },
  },
};
