// The functions that the cases call, for Node.
import type { FunctionSet } from "./functions.ts";

/** Each bad answer is given from a promise and synchronously, because the bootstrap writes the two in different ways. */
const both = (name: string, log: RegExp): Record<string, RegExp> => ({ [`/bad/${name}`]: log, [`/sync/${name}`]: log });

export const nodeFunctions: FunctionSet = {
  web: {
    file: "web.mjs",
    source: `
import { inspect } from "node:util";
const encoder = new TextEncoder();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const bad = {
  "header-name": () => new Response("inside", { headers: { "bad name": "inside" } }),
  "header-value": () => new Response("inside", { headers: { "x-a": "in\u0001side" } }),
  "header-list": () => new Response("inside", { headers: [["bad name", "inside"]] }),
  headers: () => new Response("inside", { headers: new Headers({ "x-a": "in\u0001side" }) }),
  "headers-of-json": () => Response.json({}, { headers: { "x-a": "in\u0001side" } }),
  status: () => new Response("inside", { status: 1000 }),
  "status-text": () => new Response("inside", { status: "inside" }),
  "network-error": () => Response.error(),
  "no-response": () => 42,
  nothing: () => undefined,
  null: () => { throw null; },
  error: () => { throw { get stack() { throw new Error("inside"); }, [inspect.custom]() { throw new Error("inside"); } }; },
  "named-error": () => { throw Object.assign(new Error("inside-request"), { name: "RequestError" }); },
  "broken-stream": () => {
    const answer = new Response(new ReadableStream({ pull(c) { c.error(new Error("inside-stream")); } }));
    return answer.body === null ? 1 : answer;
  },
  "locked-body": () => { const body = new ReadableStream({}); body.getReader(); return new Response(body); },
};
export default {
  fetch(request, context) {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/sync/") ? bad[pathname.slice(6)]() : this.answer(request, context);
  },
  async answer(request, context) {
    const { pathname, search } = new URL(request.url);
    if (pathname.startsWith("/bad/")) return bad[pathname.slice(5)]();
    switch (pathname) {
      case "/used-body": { const used = new Response("inside"); await used.text(); return used; }
      case "/late-native": {
        const answer = new Response(new ReadableStream({ async pull(c) { if (this.sent) { await sleep(20); c.error(new Error("late-boom")); } else { this.sent = true; c.enqueue(encoder.encode("first")); } } }));
        return answer.body === null ? 1 : answer;
      }
      case "/late-first": return new Response(new ReadableStream({ async pull(c) { await sleep(20); c.error(new Error("late-boom")); } }));
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
      case "/deaf": console.log("deaf begins"); await sleep(400); console.log("deaf done"); return new Response("late");
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
    case "/deaf": console.log("deaf begins"); await new Promise((resolve) => setTimeout(resolve, 400)); console.log("deaf done"); return "late";
    case "/bad-header": return { statusCode: 200, headers: { "bad name": "inside" }, body: "inside" };
    case "/bad-status": return { statusCode: 99999, body: "inside" };
    case "/bad-body": return { inside: 1n };
    case "/undefined": throw undefined;
    default: console.log("from lambda"); return { event, id: context.awsRequestId, left: context.getRemainingTimeInMillis() };
  }
};`,
  },
  classic: {
    file: "classic.mjs",
    source: `
const plain = { "/ticks": (res) => { const timer = setInterval(() => res.write("tick"), 10); res.on("close", () => clearInterval(timer)); }, "/deaf": (res) => { console.log("deaf begins"); setTimeout(() => { console.log("deaf done"); res.end("late"); }, 400); } };
const later = async (req, res) => {
  if (req.url === "/answer-and-throw") { res.end("whole".padEnd(4_000_000)); throw new Error("after-the-answer"); }
  if (req.url === "/throw") throw new Error("boom-inside");
  if (req.url === "/bad-header") return res.setHeader("bad name", "inside");
  if (req.url === "/bad-status") { res.statusMessage = "in\u0001side"; return res.writeHead(99999); }
  if (req.url === "/undefined") throw undefined;
  if (req.url === "/stream") { res.writeHead(200, { "content-type": "text/plain" }); res.write("one\\n"); setTimeout(() => res.end("two\\n"), 50); return; }
  if (req.url === "/trailers") { res.writeHead(200, { trailer: "x-sum" }); res.write("body"); res.addTrailers({ "x-sum": "42" }); res.end(); return; }
  if (req.url === "/hints") { res.writeEarlyHints({ link: "</a.css>; rel=preload" }); res.end("hinted"); return; }
  const chunks = []; for await (const chunk of req) chunks.push(chunk);
  res.setHeader("set-cookie", ["a=1", "b=2"]);
  res.end("classic " + req.method + " " + req.url + " " + Buffer.concat(chunks).toString());
};
export default (req, res) => plain[req.url] === undefined ? later(req, res) : plain[req.url](res);`,
  },
  failing: {
    web: {
      ...both("header-name", /Header name must be a valid HTTP token \["bad name"\]/),
      ...both("header-value", /Invalid character in header content \["x-a"\]/),
      ...both("header-list", /bad name/),
      ...both("headers", /Invalid character in header content \["x-a"\]/),
      ...both("headers-of-json", /Invalid character in header content \["x-a"\]/),
      ...both("status", /status.*1000/i),
      ...both("status-text", /status.*inside/i),
      ...both("network-error", /status.*0/i),
      ...both("no-response", /must return a Response, but returned number/),
      ...both("nothing", /must return a Response, but returned undefined/),
      ...both("null", /^null$/),
      ...both("error", /cannot be shown/),
      ...both("named-error", /RequestError\]: inside-request[^]*web\.mjs:\d+/),
      ...both("locked-body", /body/),
      ...both("broken-stream", /Error: inside-stream/),
      "/used-body": /body/,
    },
    lambda: {
      "/bad-header": /Header name must be a valid HTTP token/,
      "/bad-status": /Invalid status code: 99999/,
      "/bad-body": /BigInt/,
      "/undefined": /^undefined$/,
    },
    classic: {
      "/bad-header": /Header name must be a valid HTTP token/,
      "/bad-status": /Invalid status code: 99999/,
      "/undefined": /^undefined$/,
    },
  },
  stuck: { file: "stuck.mjs", source: 'console.log("loading");\nawait new Promise(() => {});\nexport default () => new Response();\n' },
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
    "exit at import": {
      file: "broken.mjs",
      source: "function leave() { process.exit(3); }\ntry { leave(); } catch {}\nexport default () => new Response();\n",
      message: /^The code called process\.exit\(3\) while it was loaded\.$/,
      stack: /at leave \(.*broken\.mjs:1/,
    },
    "exit while it waits": {
      file: "broken.mjs",
      source: "setTimeout(() => process.exit(), 10);\nawait new Promise(() => {});\nexport default 1;\n",
      message: /^The code called process\.exit\(0\) while it was loaded\.$/,
      stack: /broken\.mjs:1/,
    },
    "an error beside the import": {
      file: "broken.mjs",
      source: 'setTimeout(() => { throw new Error("no cache"); }, 10);\nawait new Promise(() => {});\nexport default 1;\n',
      message: /no cache/,
      stack: /broken\.mjs:1/,
    },
    "a rejection beside the import": {
      file: "broken.mjs",
      source: 'Promise.reject(new Error("no cache"));\nawait new Promise(() => {});\nexport default 1;\n',
      message: /no cache/,
      stack: /broken\.mjs:1/,
    },
  },
};
