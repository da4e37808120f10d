import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Platform, TOKEN, sleep, until } from "../testing/platform.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start();
});
afterEach(() => platform.stop());

const HEADERS = { host: "hello--acme.localhost", authorization: `Bearer ${TOKEN}` };
const open = (options: { method?: string; path?: string; headers?: Record<string, string> } = {}) =>
  httpRequest({
    host: "127.0.0.1",
    port: platform.port,
    agent: false,
    method: "GET",
    path: "/",
    ...options,
    headers: { ...HEADERS, ...options.headers },
  });
const response = (request: ReturnType<typeof open>): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => request.on("response", resolve).on("error", reject));

describe("streaming", () => {
  it("passes each event before the next is made", async () => {
    let write: (text: string) => void = () => {};
    const upstream = await platform.upstream((_request, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.flushHeaders();
      write = (text) => answer.write(text);
    });
    await platform.serve(upstream);
    const request = open();
    request.end();
    const answer = await response(request);
    const got: string[] = [];
    answer.on("data", (chunk: Buffer) => got.push(chunk.toString()));
    for (const event of ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]) {
      write(event);
      await until(() => got.join("").endsWith(event));
    }
    request.destroy();
  });

  it("passes an upload while it comes", async () => {
    const got: string[] = [];
    const upstream = await platform.upstream((request, answer) => {
      request.on("data", (chunk: Buffer) => got.push(chunk.toString()));
      request.on("end", () => answer.end("done"));
    });
    await platform.serve(upstream);
    const request = open({ method: "POST" });
    request.write("one");
    await until(() => got.join("") === "one");
    request.end("two");
    expect((await response(request)).statusCode).toBe(200);
    expect(got.join("")).toBe("onetwo");
  });

  it("tells the function when the client goes away, and frees the slot", async () => {
    let started = 0;
    let closed = 0;
    const upstream = await platform.upstream((request, answer) => {
      if (request.url === "/quick") return void answer.end("ok");
      started += 1;
      answer.on("close", () => (closed += 1));
    });
    await platform.serve(upstream, { max: 1 }, { slots: 1 });
    const request = open();
    request.on("error", () => {});
    request.end();
    await until(() => started === 1);
    request.destroy();
    await until(() => closed === 1);
    expect((await platform.call("/quick")).status).toBe(200);
    await until(() => platform.log().some((record) => record["code"] === "CLIENT_CLOSED" && record["status"] === 499));
  });

  it("does not read more from a function than its client takes", async () => {
    let sent = 0;
    const chunk = Buffer.alloc(64 * 1024);
    const upstream = await platform.upstream((_request, answer) => {
      const more = (): void => {
        while (sent < 512 * 1024 * 1024) {
          sent += chunk.length;
          if (!answer.write(chunk)) return void answer.once("drain", more);
        }
        answer.end();
      };
      more();
    });
    await platform.serve(upstream);
    const request = open();
    request.end();
    const answer = await response(request);
    answer.pause();
    let before = -1;
    // The writer stops long before it has written everything, because of backpressure.
    await until(async () => {
      const still = sent === before;
      before = sent;
      await sleep(100);
      return still;
    });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    request.destroy();
  });
});

describe("plain server behaviour", () => {
  it("HEAD, OPTIONS, Range, 204, 304 and trailers", async () => {
    const upstream = await platform.upstream((request, answer) => {
      if (request.url === "/204") return void answer.writeHead(204, { "content-length": 0 }).end();
      if (request.url === "/304") return void answer.writeHead(304, { etag: '"x"' }).end();
      if (request.url === "/trailers") {
        answer.writeHead(200, { trailer: "x-sum" });
        answer.write("body");
        answer.addTrailers({ "x-sum": "42", "x-more": "43" });
        return void answer.end();
      }
      if (request.headers.range !== undefined)
        return void answer.writeHead(206, { "content-range": "bytes 0-1/4", "content-length": 2 }).end("ab");
      answer.writeHead(200, { "content-length": 4, allow: "GET" }).end(request.method === "HEAD" ? undefined : "abcd");
    });
    await platform.serve(upstream);
    const head = await platform.call("/", { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.body]).toEqual([200, "4", ""]);
    const options = await platform.call("/", { method: "OPTIONS" });
    expect([options.status, options.headers.allow]).toEqual([200, "GET"]);
    const range = await platform.call("/", { headers: { range: "bytes=0-1" } });
    expect([range.status, range.body, range.headers["content-range"]]).toEqual([206, "ab", "bytes 0-1/4"]);
    const empty = await platform.call("/204");
    expect([empty.status, empty.headers["content-length"]]).toEqual([204, undefined]);
    const unchanged = await platform.call("/304");
    expect([unchanged.status, unchanged.headers.etag, unchanged.headers["content-length"]]).toEqual([304, '"x"', undefined]);
    const trailers = await platform.call("/trailers");
    expect([trailers.body, trailers.trailers]).toEqual(["body", { "x-sum": "42", "x-more": "43" }]);
  });

  it("answers 100-continue itself, and only to those who may send", async () => {
    const upstream = await platform.upstream((request, answer) => request.pipe(answer));
    await platform.serve(upstream);
    const run = (length: number, token: string): Promise<[boolean, number]> =>
      new Promise((resolve, reject) => {
        let continued = false;
        const request = open({
          method: "POST",
          headers: { expect: "100-continue", "content-length": String(length), authorization: `Bearer ${token}` },
        });
        request.on("continue", () => {
          continued = true;
          request.end(Buffer.alloc(length));
        });
        request.on("response", (answer) => {
          answer.resume();
          resolve([continued, answer.statusCode ?? 0]);
          request.destroy();
        });
        request.on("error", reject);
        request.flushHeaders();
      });
    expect(await run(5, TOKEN)).toEqual([true, 200]);
    expect(await run(200_000, TOKEN)).toEqual([true, 200]);
    expect(await run(200_000, "fnctl_test_wrong_wrong_wrong_wrong")).toEqual([false, 401]);
  });

  it("passes early hints", async () => {
    const upstream = await platform.rawUpstream((socket) =>
      socket.on("data", () =>
        socket.write(
          "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
      ),
    );
    await platform.serve(upstream);
    const request = open();
    const hints: unknown[] = [];
    request.on("information", (info) => hints.push([info.statusCode, info.headers["link"]]));
    request.end();
    const answer = await response(request);
    answer.resume();
    expect([answer.statusCode, hints]).toEqual([200, [[103, "</a.css>; rel=preload; as=style"]]]);
  });

  it("cuts a chunked upload at the cap, and says so", async () => {
    let got = 0;
    const upstream = await platform.upstream((request, answer) => {
      request.on("data", (chunk: Buffer) => (got += chunk.length));
      request.on("error", () => {});
      request.on("end", () => answer.end());
    });
    await platform.serve(upstream, { timeoutMs: 30_000 });
    const request = open({ method: "POST" });
    request.on("error", () => {});
    const answered = response(request);
    request.setMaxListeners(0);
    const chunk = Buffer.alloc(1024 * 1024);
    let stopped = false;
    void answered.then(
      () => (stopped = true),
      () => (stopped = true),
    );
    for (let i = 0; i < 110 && !stopped; i += 1)
      await new Promise<void>(
        (resolve) =>
          void (request.write(chunk)
            ? setImmediate(resolve)
            : request
                .once("drain", resolve)
                .once("error", () => resolve())
                .once("response", () => resolve())),
      );
    expect((await answered).statusCode).toBe(413);
    expect(got).toBeLessThanOrEqual(100 * 1024 * 1024);
    request.destroy();
  }, 30_000);
});

describe("bytes", () => {
  it("arrive as they were sent, however they are cut", async () => {
    const pieces = [1, 100, 60_000, 10_000, 65_536, 65_537, 3, 200_000].map((size, i) => Buffer.alloc(size, String.fromCharCode(97 + i)));
    const whole = Buffer.concat(pieces).toString();
    const upstream = await platform.upstream(async (request, answer) => {
      if (request.url === "/known") answer.setHeader("content-length", whole.length);
      for (const piece of pieces) {
        answer.write(piece);
        if (request.url !== "/fast") await sleep(5);
      }
      answer.end();
    });
    await platform.serve(upstream);
    for (const path of ["/fast", "/slow", "/known"]) {
      const answer = await platform.call(path);
      expect(answer.body === whole).toBe(true);
      expect(answer.headers["content-length"]).toBe(path === "/known" ? String(whole.length) : undefined);
    }
  });
  it("leave with their length when all is there at once", async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const upstream = await platform.upstream((_request, answer) => answer.end(every));
    await platform.serve(upstream);
    const raw = await platform.raw(
      `GET / HTTP/1.1\r\nhost: hello--acme.localhost\r\nauthorization: Bearer ${TOKEN}\r\nconnection: close\r\n\r\n`,
    );
    expect(raw).toMatch(/\r\ncontent-length: 256\r\n/);
    expect(raw.endsWith(every.toString("latin1"))).toBe(true);
  });
});

describe("the API", () => {
  it("is streamed to its listener, token and all", async () => {
    const seen: string[] = [];
    const { createServer } = await import("node:http");
    const api = createServer((request, answer) => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${request.headers["x-forwarded-for"]}`);
      request.pipe(answer);
    });
    await new Promise<void>((resolve) => api.listen(platform.path("api"), resolve));
    const answer = await platform.call("/v1/functions?x=1", { host: "localhost", method: "POST", body: "hello" });
    expect([answer.status, answer.body, seen]).toEqual([200, "hello", [`POST /v1/functions?x=1 Bearer ${TOKEN} 127.0.0.1`]]);
    expect((await platform.call("/v1/whoami", { host: "hello--acme.localhost" })).status).not.toBe(200);
    await until(() => platform.log().length === 2);
    expect(platform.log()[0]!["functionMs"]).toBeGreaterThan(0); // to the end: the API's streams are its answers
    api.closeAllConnections();
    await new Promise((resolve) => api.close(resolve));
    const away = await platform.call("/v1/functions", { host: "localhost" });
    expect([away.status, JSON.parse(away.body).code]).toEqual([503, "UNAVAILABLE"]);
  });
});
