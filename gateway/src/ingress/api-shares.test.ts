// The API behind the gateway when a tenant or an anonymous client asks for more than its share: others go on, and nothing waits for ever.
import { createServer, request as httpRequest, type ClientRequest, type IncomingMessage, type Server } from "node:http";
import { GATEWAY_LIMITS } from "./limits.ts";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { OTHER_TOKEN, Platform, TOKEN, until } from "../testing/platform.ts";

const SHARE = { all: 8, perTenant: 2, strangers: 3, perStranger: 2 };
const TIMES = { call: 400, upload: 1_200, stream: 400 };
const EVENTS = "/v1/builds/x/events";
let platform: Platform;
let api: Server;
let open: ClientRequest[];

beforeEach(async () => {
  open = [];
  const limits = { api: { call: SHARE, upload: SHARE, stream: SHARE }, apiBodyMs: TIMES, apiAnswerMs: TIMES };
  platform = await new Platform().start({}, undefined, { api: limits });
  await platform.serve(await platform.upstream((_request, answer) => answer.end("ok"))); // publishes both tokens
  api = createServer((request, answer) => {
    if (request.url === "/v1/silent") return void request.resume();
    if (request.url === "/v1/early") {
      answer.writeHead(403).end("no");
      return;
    }
    if (request.url === EVENTS) return void answer.write("{}\n");
    request.resume().on("end", () => answer.end("done"));
  });
  await new Promise<void>((resolve) => api.listen(platform.path("api"), resolve));
});
afterEach(async () => {
  for (const request of open) request.destroy();
  api.closeAllConnections();
  api.close();
  await platform.stop();
});

interface Asked {
  token?: string;
  from?: string;
  method?: string;
  body?: number;
}
/** Resolves with the answer's head. `body`: that many bytes are announced and one is sent. */
function ask(path: string, { token, from = "127.0.0.1", method = "GET", body }: Asked = {}): Promise<IncomingMessage> {
  const headers = {
    host: "localhost",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-length": body }),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port: platform.port, localAddress: from, agent: false, path, method, headers },
      resolve,
    );
    request.on("error", reject);
    open.push(request);
    if (body === undefined) request.end();
    else request.write("b");
  });
}
const statusOf = async (asked: Promise<IncomingMessage>) => (await asked).statusCode;
const statuses = (count: number, path: string, asked: Asked) =>
  Promise.all(Array.from({ length: count }, () => statusOf(ask(path, asked))));

it("one tenant's streams are its own share: its calls and another tenant's streams are served", async () => {
  expect(await statuses(2, EVENTS, { token: TOKEN })).toEqual([200, 200]);
  const refused = await ask(EVENTS, { token: TOKEN });
  expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([429, "1"]);
  expect(await statusOf(ask("/v1/whoami", { token: TOKEN }))).toBe(200);
  expect(await statuses(2, EVENTS, { token: OTHER_TOKEN })).toEqual([200, 200]);
  open[0]!.destroy();
  await until(async () => (await statusOf(ask(EVENTS, { token: TOKEN }))) === 200);
});

it("clients without a token have a share together, and one of them a smaller one", async () => {
  expect(await statuses(2, EVENTS, { from: "127.0.0.2" })).toEqual([200, 200]);
  expect(await statusOf(ask(EVENTS, { from: "127.0.0.2" }))).toBe(429);
  expect(await statuses(2, EVENTS, { from: "127.0.0.3" })).toEqual([200, 503]);
  expect(await statusOf(ask(EVENTS, { token: TOKEN }))).toBe(200);
});

it("slow bodies take no place, whoever sends them: somebody else without a token is served meanwhile", async () => {
  const slow = Array.from({ length: 20 }, (_, i) =>
    statusOf(ask("/v1/tokens", { from: `127.0.1.${i + 1}`, method: "POST", body: 100, ...(i % 2 === 0 ? { token: TOKEN } : {}) })),
  );
  await until(async () => (await platform.gauge("in_flight")) === 20);
  expect(await statusOf(ask("/v1/conditions", { from: "127.0.0.9" }))).toBe(200);
  expect(await statusOf(ask("/v1/whoami", { token: TOKEN }))).toBe(200);
  expect(new Set(await Promise.all(slow))).toEqual(new Set([408]));
});

it("after an answer that came before the body's end the connection serves the next request, or ends", async () => {
  for (const [bytes, next] of [
    [300_000, "HTTP/1.1 200"],
    [2 * GATEWAY_LIMITS.lingerBytes, ""],
  ] as const) {
    const socket = connect(platform.port, "127.0.0.1").on("error", () => undefined);
    let text = "";
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const head = "Host: localhost\r\n";
    socket.write(`POST /v1/early HTTP/1.1\r\n${head}Content-Length: ${bytes}\r\n\r\nb`);
    await until(() => text.includes("HTTP/1.1 403"));
    socket.write("b".repeat(bytes - 1));
    socket.write(`GET /v1/whoami HTTP/1.1\r\n${head}\r\n`);
    if (next === "") await closed;
    else await until(() => text.includes(next));
    socket.destroy();
  }
});

it("a body that does not come is 408 after its time, an upload's later; meanwhile another tenant is served", async () => {
  const begun = performance.now();
  const slow = Array.from({ length: 2 }, () => statusOf(ask("/v1/tokens", { token: TOKEN, method: "POST", body: 100 })));
  const upload = statusOf(ask("/v1/blobs/x", { token: TOKEN, method: "PUT", body: 100 })).then((status) => [
    status,
    performance.now() - begun,
  ]);
  expect(await statusOf(ask("/v1/whoami", { token: OTHER_TOKEN }))).toBe(200);
  expect(await Promise.all(slow)).toEqual([408, 408]);
  expect(await statusOf(ask("/v1/whoami", { token: TOKEN }))).toBe(200);
  const [status, ms] = await upload;
  expect([status, ms! >= TIMES.upload]).toEqual([408, true]);
});

it("a call that is not answered is 503 after its time; a stream that has begun goes on", async () => {
  const stream = await ask(EVENTS, { token: TOKEN });
  let ended = false;
  stream.on("close", () => (ended = true)).resume();
  expect(await statusOf(ask("/v1/silent", { token: TOKEN }))).toBe(503);
  expect(await statusOf(ask("/v1/silent", { token: TOKEN, method: "POST" }))).toBe(503);
  expect(await statusOf(ask("/v1/silent", { token: TOKEN, method: "POST", body: 1 }))).toBe(503); // its body has come whole
  expect(ended).toBe(false);
  await until(async () => (await platform.gauge("in_flight")) === 1);
});
