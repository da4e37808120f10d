// The probe as a second source of invocations: the same steps, without a client's connection.
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Platform, until } from "../../testing/platform.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start({}, { depth: 50, ms: 2_000 });
});
afterEach(() => platform.stop());

async function probe(query: string, secret?: string): Promise<{ status: number; report: Record<string, unknown> }> {
  const { status, body } = await platform.admin("POST", `/probe?${query}`, secret);
  return { status, report: JSON.parse(body) as Record<string, unknown> };
}
const HELLO = "tenant=acme&function=hello";

it("asks a private function and reports its answer, its times and where it ran; it is counted and logged as any other", async () => {
  let seen: Record<string, unknown> = {};
  const upstream = await platform.upstream((request, answer) => {
    seen = { url: request.url, method: request.method, host: request.headers.host, auth: request.headers.authorization };
    answer.writeHead(201).end("hello");
  });
  await platform.serve(upstream, { access: "private" });
  const { status, report } = await probe(`${HELLO}&path=${encodeURIComponent("/a?b=c")}`);
  expect(status).toBe(200);
  expect(report).toMatchObject({ status: 201, code: "", body: "hello", whole: true, version: 1, instance: expect.stringMatching(/./) });
  expect(report["functionMs"]).toBeGreaterThan(0);
  expect(seen).toEqual({ url: "/a?b=c", method: "GET", host: "hello--acme.localhost", auth: undefined });
  await until(() => platform.log().some((line) => line["requestId"] === report["requestId"] && line["status"] === 201));
  expect(await platform.gauge("in_flight")).toBe(0);
});

it("tells the operator why a function fails", async () => {
  const upstream = await platform.rawUpstream((socket) => socket.once("data", () => socket.destroy()));
  await platform.serve(upstream);
  const { report } = await probe(HELLO);
  expect(report).toMatchObject({ status: 502, code: "FUNCTION_CRASHED" });
  expect(JSON.parse(report["body"] as string)).toMatchObject({ code: "FUNCTION_CRASHED", hint: expect.stringContaining("fnctl logs") });
});

it("keeps so much of an answer and no more, and reads the rest", async () => {
  const size = GATEWAY_LIMITS.storedAnswerBytes;
  const upstream = await platform.upstream((request, answer) => answer.end("x".repeat(Number(request.url?.slice(1)))));
  await platform.serve(upstream);
  const fits = await probe(`${HELLO}&path=/${size}`);
  const over = await probe(`${HELLO}&path=/${size * 20}`);
  expect([fits.report["whole"], (fits.report["body"] as string).length]).toEqual([true, size]);
  expect([over.report["whole"], (over.report["body"] as string).length]).toEqual([false, size]);
});

it("an answer that is cut is not whole", async () => {
  const upstream = await platform.upstream((_request, answer) => {
    answer.writeHead(200).write("part");
    setTimeout(() => answer.destroy(), 50);
  });
  await platform.serve(upstream);
  expect((await probe(HELLO)).report).toMatchObject({ status: 200, code: "FUNCTION_BAD_RESPONSE", body: "part", whole: false });
});

it.each([
  ["no such function", "tenant=acme&function=other", 404],
  ["the runtime protocol", `${HELLO}&path=/.fnctl/v1/health`, 404],
  ["an ambiguous path", `${HELLO}&path=//x`, 400],
  ["no path", `${HELLO}&path=x`, 400],
  ["no function", "tenant=acme", 400],
  ["a field that it does not know", `${HELLO}&method=DELETE`, 400],
])("refuses %s", async (_what, query, status) => {
  let requests = 0;
  await platform.serve(await platform.upstream((_request, answer) => answer.end(String((requests += 1)))));
  expect((await probe(query)).status).toBe(status);
  expect(requests).toBe(0);
});

it("is nobody's who has not the internal secret", async () => {
  expect((await probe(HELLO, "f".repeat(64))).status).toBe(401);
});

it("ends with whoever asked, so that it holds no instance for nobody", async () => {
  const upstream = await platform.upstream((_request, answer) => void answer.write("part"));
  await platform.serve(upstream, { timeoutMs: 60_000 });
  const asked = httpRequest({
    socketPath: platform.path("admin"),
    method: "POST",
    path: `/probe?${HELLO}`,
    headers: { authorization: `Bearer ${readFileSync(platform.path("secret"), "utf8")}` },
    agent: false,
  });
  asked.on("error", () => undefined).end();
  await until(async () => (await platform.gauge("in_flight")) === 1);
  asked.destroy();
  await until(async () => (await platform.gauge("in_flight")) === 0);
  await until(() => platform.log().some(({ code }) => code === "CLIENT_CLOSED"));
});
