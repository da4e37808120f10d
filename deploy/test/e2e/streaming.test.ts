// A function streams as a plain server does: no bytes are held back or collected in memory, and each side notices when the other one
// leaves.
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { call } from "./api.ts";
import { deployFixture } from "./fixture.ts";
import { pidOf } from "./processes.ts";
import { ask, connect, exchange, parse, requestHead } from "./raw.ts";

beforeAll(async () => {
  await deployFixture("streams", "streams.js", { timeoutMs: 60_000, max: 1 });
  await deployFixture("signals", "signals.js", { timeoutMs: 60_000, max: 1 });
  await deployFixture("streams-python", "streams.py", { runtime: "python3.13", timeoutMs: 60_000, max: 1 });
});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
type Counts = { left: number; sent: number; received: number };
const counts = async (name: string): Promise<Counts> => (await (await call(name, "/counts")).json()) as Counts;

/** The pieces of an answer with the time at which each came, milliseconds since the first. */
async function pieces(answer: Response): Promise<{ text: string; at: number }[]> {
  const out: { text: string; at: number }[] = [];
  const decoder = new TextDecoder();
  let begun: number | undefined;
  for await (const chunk of answer.body!) {
    begun ??= performance.now();
    out.push({ text: decoder.decode(chunk as Uint8Array), at: performance.now() - begun });
  }
  return out;
}

describe("an answer", () => {
  test.each([
    ["streams", "/drip?count=4&ms=200"],
    ["streams-python", "/drip"],
  ])("arrives piece by piece as it is written (%s)", async (name, way) => {
    const parts = await pieces(await call(name, way));
    expect(parts.map(({ text }) => text)).toEqual(["0;", "1;", "2;", "3;"]);
    expect(parts.at(-1)!.at).toBeGreaterThan(450);
  });

  test("of server-sent events keeps its frames and its type, and is not compressed", async () => {
    const answer = await call("streams", "/drip?count=3&ms=150&type=text/event-stream", {
      headers: { accept: "text/event-stream", "accept-encoding": "gzip, br" },
    });
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.headers.get("content-encoding")).toBeNull();
    expect((await pieces(answer)).map(({ text }) => text)).toEqual([
      "id: 0\ndata: tick 0\n\n",
      "id: 1\ndata: tick 1\n\n",
      "id: 2\ndata: tick 2\n\n",
    ]);
  });

  test("that the function cuts off is seen as cut off", async () => {
    const answer = await call("streams", "/cut");
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow(/terminated/);
  });

  test("keeps fields that occur more than once, in their order", async () => {
    const { head } = await ask("GET", "streams", "/lines");
    expect(head.match(/^(x-many|set-cookie): .*$/gm)).toEqual(["x-many: one", "x-many: two", "set-cookie: a=1", "set-cookie: b=2"]);
  });

  test.each([204, 304])("with %i has no body and no length", async (status) => {
    const { head, body, status: given } = await ask("GET", "streams", `/empty?status=${status}`);
    expect([given, body]).toEqual([status, ""]);
    expect(head).not.toMatch(/content-length|transfer-encoding/);
  });
});

describe("request and answer", () => {
  test.each(["streams", "streams-python"])("stream at the same time, in both directions (%s)", async (name) => {
    const socket = connect();
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    const seen = (what: string) => expect.poll(() => text, { timeout: 10_000, interval: 10 }).toContain(what);
    socket.write(requestHead("POST", name, "/duplex", ["transfer-encoding: chunked"]));
    for (const word of ["one", "two", "three"]) {
      socket.write(`${word.length.toString(16)}\r\n${word}\r\n`);
      await seen(`got ${word};`); // arrives before the next word is sent
    }
    socket.write("0\r\n\r\n");
    await seen("end");
    socket.destroy();
  });

  test("100-continue is answered before the body is sent; without it nothing is added", async () => {
    const head = requestHead("POST", "streams", "/drink", ["content-length: 5", "expect: 100-continue", "connection: close"]);
    const socket = connect();
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    socket.write(head);
    await expect.poll(() => text, { timeout: 10_000, interval: 10 }).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    socket.write("hello");
    await expect.poll(() => parse(text).body, { timeout: 10_000, interval: 10 }).toContain("5");
    expect(await exchange(`${requestHead("POST", "streams", "/drink", ["content-length: 2", "connection: close"])}ab`)).not.toContain(
      "100 Continue",
    );
  });

  test("early hints pass (RFC 8297)", async () => {
    const text = await exchange(requestHead("GET", "streams", "/hints", ["connection: close"]));
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nlink: <\/style\.css>; rel=preload; as=style\r\n\r\nHTTP\/1\.1 200 OK/i);
  });

  test("trailers of the answer pass", async () => {
    const { head, body } = parse(await exchange(requestHead("GET", "streams", "/trailers", ["te: trailers", "connection: close"])));
    expect(head).toContain("transfer-encoding: chunked");
    expect(body).toMatch(/^4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n$/i);
  });
});

describe("methods", () => {
  test("HEAD has the fields of GET and no body", async () => {
    const { status, head, body } = await ask("HEAD", "streams", "/range");
    expect([status, body]).toEqual([200, ""]);
    expect(head).toContain("content-length: 100");
    expect(head).toContain('etag: "v1"');
  });

  test("OPTIONS reaches the function", async () => {
    const answer = await call("streams", "/options", { method: "OPTIONS" });
    expect([answer.status, answer.headers.get("allow"), answer.headers.get("x-method")]).toEqual([204, "GET, HEAD, OPTIONS", "OPTIONS"]);
  });

  test("Range and conditions pass both ways: 206, 416 and 304", async () => {
    const part = await call("streams", "/range", { headers: { range: "bytes=10-19" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 10-19/100", "0123456789"]);
    const beyond = await call("streams", "/range", { headers: { range: "bytes=500-600" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */100"]);
    expect((await call("streams", "/range", { headers: { "if-none-match": '"v1"' } })).status).toBe(304);
  });

  test.each([
    [
      "websocket",
      ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="],
    ],
    ["h2c", ["upgrade: h2c", "connection: upgrade, http2-settings", "http2-settings: AAMAAABkAAQAAP__"]],
  ])("Upgrade to %s is refused with 501 and its code", async (_protocol, extra) => {
    const text = await exchange(requestHead("GET", "streams", "/counts", extra), (so) => so.endsWith("}"));
    expect(parse(text).status).toBe(501);
    expect(JSON.parse(parse(text).body)).toMatchObject({ code: "UPGRADE_UNSUPPORTED" });
  });
});

describe("a client that leaves", () => {
  test.each([
    ["streams", "/linger", "in the middle of the answer"],
    ["streams", "/waiting", "before the answer"],
    ["signals", "/", "before the answer (request.signal)"],
    ["streams-python", "/waiting", "before the answer (http.disconnect)"],
  ])("is noticed by the function: %s%s, %s", async (name, way) => {
    const before = (await counts(name)).left;
    const socket = connect();
    socket.on("error", () => undefined).on("data", () => undefined);
    socket.write(requestHead("GET", name, way));
    await sleep(300);
    expect((await counts(name)).left).toBe(before); // the function has not noticed a leaving client yet
    socket.destroy();
    await expect.poll(async () => (await counts(name)).left, { timeout: 10_000 }).toBe(before + 1);
  });
});

describe("100 MB", () => {
  const residentMib = (): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pidOf("gateway")}/status`, "utf8"))?.[1]) / 1024;

  test("go down whole; while the client does not read, the function waits and the gateway holds little", async () => {
    const before = residentMib();
    const socket = connect();
    let bytes = 0;
    const ended = new Promise((resolve) => socket.on("end", resolve));
    socket.pause();
    socket.write(requestHead("GET", "streams", "/pour?mib=100", ["connection: close"]));
    await sleep(1_500);
    const { sent } = await counts("streams");
    expect(sent).toBeLessThan(40); // only as much as the sockets in between can hold
    expect(residentMib() - before).toBeLessThan(80);
    socket.on("data", (chunk: Buffer) => (bytes += chunk.length)).resume();
    await ended;
    expect(bytes).toBeGreaterThan(100 * 1024 * 1024);
    expect(residentMib() - before).toBeLessThan(96);
  });

  test("go up whole; while the function does not read, the client waits and the gateway holds little", async () => {
    const before = residentMib();
    const [piece, total] = [Buffer.alloc(1024 * 1024, "y"), 100 * 1024 * 1024];
    let answer = "";
    const socket = connect().on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.write(requestHead("POST", "streams", "/drink?wait=1500", [`content-length: ${total}`, "connection: close"]));
    let taken = 0;
    for (let i = 0; i < 100; i++) socket.write(piece, () => (taken += 1));
    await sleep(1_000);
    expect(taken).toBeLessThan(40); // only as much as the sockets in between can hold
    expect(residentMib() - before).toBeLessThan(80); // passing that on costs memory, too
    await new Promise((resolve) => socket.once("close", resolve));
    expect(parse(answer)).toMatchObject({ status: 200, body: expect.stringContaining(String(total)) as string });
    expect(residentMib() - before).toBeLessThan(96);
  });
});
