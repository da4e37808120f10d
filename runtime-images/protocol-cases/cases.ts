// What every bootstrap must do, whatever its language (contract/runtime-protocol.ts).
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, eventually, init, open, records, untilIdle } from "./client.ts";
import { failingCases } from "./failing-cases.ts";
import { lifeCases } from "./life-cases.ts";
import { afterAnswerCases, streamEndCases, settledCases } from "./settled-cases.ts";
import type { FunctionSet } from "./functions.ts";
import type { Sandbox } from "./runsc.ts";

export interface Subject {
  start(): Promise<Sandbox>;
  functions: FunctionSet;
  runtime: string;
  kinds: { web: string; lambda: string; classic: string };
  /** The handler style in which a handler can raise when its answer is whole already. */
  raises: "web" | "classic";
}

export function runCases(name: string, subject: Subject): void {
  const withFunction = (title: string, fn: "web" | "lambda" | "classic", body: (get: () => Sandbox) => void): void => {
    describe(`${name}: ${title}`, () => {
      let sandbox: Sandbox | undefined;
      beforeAll(async () => {
        sandbox = await subject.start();
        await untilIdle(sandbox);
        const reply = await init(sandbox, subject.functions[fn]);
        expect(JSON.parse(reply.text)).toEqual({ kind: subject.kinds[fn], importMs: expect.any(Number) });
      });
      afterAll(() => sandbox?.stop());
      body(() => sandbox as Sandbox);
    });
  };
  withFunction("web handler", "web", (get) => {
    webCases(get);
    streamCases(get);
    settledCases(get);
    streamEndCases(get);
    failingCases(get, subject.functions.failing.web);
  });
  withFunction("web handler's log", "web", logCases);
  withFunction("Lambda style handler", "lambda", (get) => {
    lambdaCases(get);
    settledCases(get);
    failingCases(get, subject.functions.failing.lambda);
  });
  withFunction("handler that goes on after its answer", subject.raises, (get) => afterAnswerCases(get, "/answer-and-throw"));
  withFunction("classic handler", "classic", (get) => {
    classicCases(get);
    settledCases(get);
    failingCases(get, subject.functions.failing.classic);
  });
  lifeCases(name, subject);
}

function webCases(get: () => Sandbox): void {
  const ask: (path: string, sent?: Parameters<typeof call>[2]) => ReturnType<typeof call> = (path, sent) => call(get().socket, path, sent);
  test("answers, keeps headers, status and cookies", async () => {
    expect(await ask("/")).toMatchObject({ status: 200, text: "hello" });
    expect((await ask("/")).headers["content-length"]).toBe("5");
    expect((await ask("/cookies")).headers["set-cookie"]).toEqual(["a=1", "b=2; Path=/"]);
    expect(await ask("/empty")).toMatchObject({ status: 204, text: "" });
    expect((await ask("/empty")).headers["content-length"]).toBeUndefined();
  });
  test("sees the URL as the client sent it, with the client's scheme", async () => {
    const reply = await ask("/url?a=%20b&c=%2F", { headers: { "x-forwarded-proto": "https" } });
    expect(reply.text).toBe("https://fn.example.com/url?a=%20b&c=%2F");
  });
  test("sees the settings of init", async () => {
    expect(JSON.parse((await ask("/env")).text)).toEqual({ a: "from init", name: "case" });
  });
  test("a thrown error is a 500 that tells nothing; its stack is in the log under the request's id", async () => {
    const reply = await ask("/throw", { headers: { "x-request-id": "thrown-000001" } });
    expect(reply.status).toBe(500);
    expect(reply.headers["content-type"]).toBe("application/problem+json");
    expect(JSON.parse(reply.text)).toMatchObject({ code: "FUNCTION_ERROR", status: 500, requestId: "thrown-000001" });
    expect(reply.text).not.toContain("boom-inside");
    const record = await eventually(() => records(get()).find((line) => line.m.includes("boom-inside")), "the stack");
    expect(record).toMatchObject({ l: "error", r: "thrown-000001" });
    expect(record.m).toMatch(/web\.(?:mjs:\d+|py", line \d+)/);
    expect(record.m).not.toMatch(/bootstrap|node:internal|\/opt\/fnctl/);
  });
  test("HEAD has the length and no body, ends an endless stream, and leaves the connection usable", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const head = (path: string, method: string): Promise<{ length: string | undefined; body: string; socket: unknown }> =>
      new Promise((resolve, reject) => {
        const request = http.request({ socketPath: get().socket, path, method, agent, headers: { host: "a" } }, (response) => {
          let body = "";
          const { socket } = response;
          response
            .on("data", (chunk: Buffer) => (body += chunk.toString()))
            .on("end", () => resolve({ length: response.headers["content-length"], body, socket }));
        });
        request.on("error", reject).end();
      });
    expect(await head("/", "HEAD")).toMatchObject({ length: "5", body: "" });
    const first = await head("/sse", "HEAD");
    expect(first.body).toBe("");
    expect((await head("/", "GET")).body).toBe("hello");
    agent.destroy();
  });
}

function streamCases(get: () => Sandbox): void {
  test("echoes 20 MB unchanged", async () => {
    const body = randomBytes(20 * 1024 * 1024);
    const reply = await call(get().socket, "/echo", { body });
    expect(createHash("sha256").update(reply.body).digest("hex")).toBe(createHash("sha256").update(body).digest("hex"));
  });
  test("streams both ways at once: an echo arrives before the request has ended", async () => {
    const { request, response } = open(get().socket, "/echo", { method: "POST" });
    request.write("one");
    const incoming = await response;
    const next = (): Promise<string> => new Promise((resolve) => incoming.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    expect(await next()).toBe("one");
    const second = next();
    request.write("two");
    expect(await second).toBe("two");
    request.end();
    await new Promise((resolve) => incoming.once("end", resolve));
  });
  test("the head arrives before there is any body", async () => {
    const { request, response } = open(get().socket, "/echo", { method: "POST" });
    request.flushHeaders();
    const incoming = await response;
    request.end("after the head");
    expect((await incoming.toArray()).join("")).toBe("after the head");
  });
  test("echoes JSON", async () => {
    expect(JSON.parse((await call(get().socket, "/json", { body: '{"a":[1,"é"]}' })).text)).toEqual({ a: [1, "é"] });
  });
  test("server-sent events arrive one by one; when the client goes the handler learns of it", async () => {
    const { request, response } = open(get().socket, "/sse");
    request.end();
    const incoming = await response;
    expect(incoming.headers["content-type"]).toBe("text/event-stream");
    const first = await new Promise<Buffer>((resolve) => incoming.once("data", resolve));
    expect(first.toString()).toContain("data: tick");
    const before = records(get()).filter((line) => line.m === "signal aborted").length;
    request.destroy();
    await eventually(() => records(get()).filter((line) => line.m === "signal aborted").length > before || undefined, "the abort signal");
    await eventually(() => records(get()).some((line) => line.m === "stream cancelled") || undefined, "the end of the stream");
  });
  test("a client that goes before the answer is noticed", async () => {
    const { request, response } = open(get().socket, "/wait");
    response.catch(() => undefined);
    request.end();
    setTimeout(() => request.destroy(), 50);
    await eventually(() => records(get()).some((line) => line.m === "wait aborted") || undefined, "the abort");
  });
  test("an error after the first bytes cuts the connection instead of ending the body, and is not sent", async () => {
    const { request, response } = open(get().socket, "/late");
    request.end();
    const incoming = await response;
    let text = "";
    incoming.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await expect(new Promise((resolve, reject) => incoming.once("end", resolve).once("error", reject))).rejects.toThrow();
    expect(text).toBe("first");
    await eventually(() => records(get()).find((line) => line.l === "error" && line.m.includes("late-boom")), "the stack");
    expect((await call(get().socket, "/")).text).toBe("hello");
  });
}

function logCases(get: () => Sandbox): void {
  test("each record has its level and its own request's id, with requests side by side", async () => {
    const ids = ["request-a1", "request-b2", "request-c3"];
    await Promise.all(ids.map((id) => call(get().socket, `/log?${id}`, { headers: { "x-request-id": id } })));
    for (const id of ids) {
      const lines = await eventually(() => {
        const found = records(get()).filter((line) => line.m.endsWith(id));
        return found.length >= 5 ? found : undefined;
      }, "five records");
      expect(lines.every((line) => line.r === id)).toBe(true);
      expect(
        lines
          .filter((line) => line.m !== `half line ${id}`)
          .map((line) => `${line.l} ${line.m.split(" ")[0]}`)
          .toSorted(),
      ).toEqual(["debug debug", "error error", "info info", "warn warn"]);
    }
  });
  test("a long line is cut and stays one valid record", async () => {
    await call(get().socket, "/long");
    await eventually(() => records(get()).find((line) => line.m.startsWith("xxxx")), "the record");
    const raw =
      get()
        .output()
        .split("\n")
        .find((line) => line.includes("xxxx")) ?? "";
    expect(Buffer.byteLength(raw)).toBeLessThanOrEqual(16 * 1024);
    expect(JSON.parse(raw.slice(1)).m).toContain("(cut)");
  });
  test("nobody reading the log stops nothing; what was lost is counted", async () => {
    get().pauseOutput(true);
    expect((await call(get().socket, "/flood")).text).toBe("flooded");
    expect((await call(get().socket, "/")).text).toBe("hello");
    get().pauseOutput(false);
    await eventually(() => records(get()).find((line) => /^\d+ log lines were dropped/.test(line.m)), "the note of dropped lines");
  });
  test("a request that prints without end costs the others none of their lines, while nobody reads them", async () => {
    const own = "quiet-000001";
    get().pauseOutput(true);
    await call(get().socket, "/flood", { headers: { "x-request-id": "flooding-0001" } });
    await call(get().socket, `/log?${own}`, { headers: { "x-request-id": own } });
    get().pauseOutput(false);
    await eventually(
      () => (records(get()).filter((line) => line.r === own).length >= 5 ? true : undefined),
      "the quiet request's five lines",
    );
  });
}

function lambdaCases(get: () => Sandbox): void {
  const ask: (path: string, sent?: Parameters<typeof call>[2]) => ReturnType<typeof call> = (path, sent) => call(get().socket, path, sent);
  test("gets an API Gateway v2 event", async () => {
    const headers = {
      "content-type": "application/json",
      cookie: "a=1; b=2",
      "x-request-id": "lambda-0001",
      "x-fnctl-timeout-ms": "5000",
      "x-forwarded-for": "203.0.113.9",
    };
    const { event, id, left } = JSON.parse((await ask("/some%20path?x=1&x=2&y=", { headers, body: '{"k":1}' })).text);
    expect(event).toMatchObject({
      version: "2.0",
      rawPath: "/some%20path",
      rawQueryString: "x=1&x=2&y=",
      queryStringParameters: { x: "1,2", y: "" },
      cookies: ["a=1", "b=2"],
      body: '{"k":1}',
      isBase64Encoded: false,
    });
    expect(event.requestContext.http).toMatchObject({ method: "POST", path: "/some%20path", sourceIp: "203.0.113.9" });
    expect(event.headers["content-type"]).toBe("application/json");
    expect(id).toBe("lambda-0001");
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5000);
    expect((await eventually(() => records(get()).find((line) => line.m === "from lambda"), "the record")).r).toBe("lambda-0001");
  });
  test("gets a binary body as base64", async () => {
    const { event } = JSON.parse(
      (await ask("/", { headers: { "content-type": "application/octet-stream" }, body: Buffer.from([255, 0, 1]) })).text,
    );
    expect(event).toMatchObject({ isBase64Encoded: true, body: "/wAB" });
  });
  test("answers with a whole response or with any value", async () => {
    const full = await ask("/full");
    expect(full).toMatchObject({ status: 201, body: Buffer.from([0, 255]) });
    expect(full.headers).toMatchObject({ "x-a": "1", "set-cookie": ["a=1", "b=2"] });
    const plain = await ask("/plain");
    expect(JSON.parse(plain.text)).toEqual({ hello: "world" });
    expect(plain.headers["content-type"]).toBe("application/json");
    expect((await ask("/text")).text).toBe("just text");
    expect((await ask("/nothing")).status).toBe(200);
  });
  test("a thrown error is a 500", async () => {
    expect(await ask("/throw")).toMatchObject({ status: 500 });
  });
}

function classicCases(get: () => Sandbox): void {
  test("answers, reads bodies, keeps cookies", async () => {
    const reply = await call(get().socket, "/thing", { body: "payload" });
    expect(reply.text).toBe("classic POST /thing payload");
    expect(reply.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  });
  test("streams", async () => {
    const { request, response } = open(get().socket, "/stream");
    request.end();
    const incoming = await response;
    const first = await new Promise<Buffer>((resolve) => incoming.once("data", resolve));
    expect(first.toString()).toBe("one\n");
  });
  test("a thrown error is a 500 that tells nothing", async () => {
    const reply = await call(get().socket, "/throw");
    expect(reply.status).toBe(500);
    expect(reply.text).not.toContain("boom-inside");
    await eventually(() => records(get()).find((line) => line.m.includes("boom-inside")), "the stack");
  });
}
