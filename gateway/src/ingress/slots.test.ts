// A slot is taken until the handler has ended, also when the client has left.
import { request as httpRequest, type ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Platform, sleep, until } from "../testing/platform.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start({}, { depth: 50, ms: 5_000 });
});
afterEach(() => platform.stop());

/** Sends a request whose client leaves as soon as the function has it. */
async function leave(path: string, hasIt: () => boolean): Promise<void> {
  const headers = { host: "hello--acme.localhost", "x-request-id": "left-the-function" };
  const request = httpRequest({ host: "127.0.0.1", port: platform.port, path, agent: false, headers });
  request.on("error", () => undefined).end();
  await until(hasIt);
  request.destroy();
}

describe("with one slot, a second request after the first one's client left", () => {
  /** Answers all but `/left`; `asked`: the question whether a handler has ended. */
  async function serve(onAsked: (answer: ServerResponse) => void, timeoutMs = 60_000) {
    const seen: string[] = [];
    let exchange = "";
    const upstream = await platform.upstream(
      (request, answer) => {
        seen.push(request.url!);
        if (request.url !== "/left") return void answer.end("good");
        exchange = request.headers["x-fnctl-exchange"] as string;
      },
      (request, answer) => {
        seen.push(`asked for ${request.headers["x-fnctl-exchange"] === exchange ? "it" : "another"}`);
        onAsked(answer);
      },
    );
    await platform.serve(upstream, { access: "public", timeoutMs, max: 1 }, { slots: 1 });
    await leave("/left", () => seen.includes("/left"));
    return seen;
  }

  it("runs when the first one's handler has ended, and not before", async () => {
    let tell: () => void = () => undefined;
    const seen = await serve((answer) => (tell = () => answer.writeHead(204).end()));
    const second = platform.call("/second", { token: null });
    await until(() => seen.length === 2);
    await sleep(100);
    expect(seen).toEqual(["/left", "asked for it"]);
    tell();
    expect((await second).body).toBe("good");
    expect(platform.control.released).toEqual([]);
  });
  it("runs at the first one's deadline when its handler does not end", async () => {
    await serve(() => undefined, 700);
    const begun = performance.now();
    expect((await platform.call("/second", { token: null })).body).toBe("good");
    expect(performance.now() - begun).toBeGreaterThan(300);
    expect(platform.control.released).toEqual([]);
  });
  it.each([
    ["does not know the question", (answer: ServerResponse) => void answer.writeHead(404).end("no such call")],
    ["answers with more than it is asked for", (answer: ServerResponse) => void answer.writeHead(200).write("x".repeat(100_000))],
  ])("runs at once when the instance %s", async (_title, onAsked) => {
    await serve(onAsked);
    expect((await platform.call("/second", { token: null })).body).toBe("good");
    expect([platform.control.released, platform.control.leaseRequests.length]).toEqual([[], 1]);
  });
});

it("a request that was never sent holds no slot", async () => {
  let requests = 0;
  const asked: string[] = [];
  const upstream = await platform.upstream(
    (_request, answer) => {
      requests += 1;
      setTimeout(() => answer.end("good"), 200);
    },
    (request) => void asked.push(request.url!),
  );
  await platform.serve(upstream, { access: "public", max: 1 }, { slots: 1 });
  const first = platform.call("/first", { token: null });
  await until(() => requests === 1);
  await leave("/waits", () => platform.ingress !== undefined);
  expect((await first).body).toBe("good");
  expect((await platform.call("/third", { token: null })).body).toBe("good");
  expect(asked).toEqual([]);
});

it("a client's request id names no exchange: two requests with the same one are told apart", async () => {
  const exchanges: unknown[] = [];
  const upstream = await platform.upstream((request, answer) => {
    exchanges.push(request.headers["x-fnctl-exchange"]);
    answer.end("good");
  });
  await platform.serve(upstream, { access: "public" });
  for (let i = 0; i < 2; i += 1)
    await platform.call("/", { token: null, headers: { "x-request-id": "the-same-id", "x-fnctl-exchange": "chosen-by-me" } });
  expect(new Set(exchanges).size).toBe(2);
  for (const exchange of exchanges) expect(exchange).toMatch(/^[0-9a-f]{8}-\d+$/);
});
