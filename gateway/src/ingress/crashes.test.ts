// Which evidence there is of an instance's end, and what a broken connection costs.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeLease } from "../testing/control-double.ts";
import { Platform, codeOf, until } from "../testing/platform.ts";
import type { Upstream } from "../testing/upstream.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start({}, { depth: 50, ms: 2_000 });
});
afterEach(() => platform.stop());

const good = () => platform.upstream((_request, answer) => answer.end("good"));
/** Its process ends at the first request. */
async function crashing(seen: () => void = () => undefined): Promise<Upstream> {
  const upstream = await platform.upstream(() => {
    seen();
    void upstream.close();
  });
  return upstream;
}

describe("crashes", () => {
  it("502 with the reason that the control plane knows", async () => {
    const ending = await crashing();
    await platform.serve(ending);
    platform.control.onRelease = (leases) => leases.map(({ leaseId }) => ({ leaseId, reason: "oom", detail: "out of memory" }));
    const answer = await platform.call("/");
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([502, { code: "FUNCTION_CRASHED", facts: { reason: "oom" } }]);
    expect(platform.reasons()).toEqual(["broken"]);
    await until(() => platform.log().at(-1)?.["reason"] === "oom");
  });

  it("never sends a request twice once it was sent", async () => {
    let requests = 0;
    const ending = await crashing(() => (requests += 1));
    await platform.serve(ending);
    platform.leaseInTurn(ending, await good());
    expect((await platform.call("/")).status).toBe(502);
    expect(requests).toBe(1);
    expect((await platform.call("/")).body).toBe("good");
  });

  it("tries another instance when the first takes no connection, body and all", async () => {
    const gone: Upstream = { path: platform.path("nobody-there"), close: async () => {} };
    const echo = await platform.upstream((request, answer) => void request.pipe(answer));
    await platform.serve(echo);
    platform.leaseInTurn(gone, echo);
    const body = "b".repeat(100_000);
    const answer = await platform.call("/", { method: "POST", body });
    expect([answer.status, answer.body === body]).toEqual([200, true]);
    expect(platform.reasons()).toEqual(["broken"]);
  });

  it("gives up after one retry", async () => {
    const gone: Upstream = { path: platform.path("nobody-there"), close: async () => {} };
    await platform.serve(gone);
    const answer = await platform.call("/");
    expect([answer.status, codeOf(answer), platform.control.leaseRequests.length]).toEqual([502, "FUNCTION_CRASHED", 2]);
  });

  it("fails the requests of an instance that the control plane says has ended", async () => {
    let requests = 0;
    const stuck = await platform.upstream(() => void (requests += 1));
    let instance = "";
    await platform.serve(stuck, { timeoutMs: 60_000 });
    platform.control.onLease = (request) => {
      const lease = makeLease(request, stuck.path);
      instance = lease.instance;
      return lease;
    };
    const waiting = platform.call("/");
    await until(() => requests === 1);
    platform.control.send({ type: "instance-ended", instance, reason: "oom" });
    expect([(await waiting).status, codeOf(await waiting)]).toEqual([502, "FUNCTION_CRASHED"]);
    expect(platform.reasons()).toEqual([]);
  });
});

describe("bad answers", () => {
  const cases: [string, string][] = [
    ["no HTTP", "hello\r\n\r\n"],
    ["an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
    ["a header beyond the cap", `HTTP/1.1 200 OK\r\nx: ${"a".repeat(20_000)}\r\n\r\n`],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
    ["interim answers without end", "HTTP/1.1 102 Processing\r\n\r\n".repeat(50)],
    ["a control character in a field", "HTTP/1.1 200 OK\r\nx-a: b\x01c\r\ncontent-length: 0\r\n\r\n"],
    ["a status beyond all", "HTTP/1.1 999999 OK\r\ncontent-length: 0\r\n\r\n"],
  ];
  it.each(cases)("%s", async (_name, bytes) => {
    const hostile = await platform.rawUpstream((socket) => void socket.once("data", () => socket.write(Buffer.from(bytes, "latin1"))));
    await platform.serve(hostile, { timeoutMs: 1_000 });
    const answer = await platform.call("/");
    expect([answer.status, codeOf(answer)]).toEqual([502, "FUNCTION_BAD_RESPONSE"]);
  });
  it.each([
    ["shorter than it said", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"],
    ["with a bad chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n"],
  ])("cuts an answer %s", async (_name, bytes) => {
    const hostile = await platform.rawUpstream((socket) => void socket.once("data", () => socket.end(bytes)));
    await platform.serve(hostile);
    const answer = await platform.call("/").catch(() => undefined);
    expect(answer === undefined || answer.status === 502).toBe(true);
  });
});

describe("a connection that the function closes", () => {
  /** `/breaks` closes its connection, `/midway` after a part of the answer; `/slow` waits for `finish`. */
  async function served(): Promise<{ finish: () => void }> {
    const slow: (() => void)[] = [];
    const upstream = await platform.upstream((request, answer) => {
      if (request.url === "/slow") return void slow.push(() => answer.end("finished"));
      if (request.url === "/midway") answer.writeHead(200).write("part");
      setTimeout(() => request.socket.destroy(), 20);
    });
    await platform.serve(upstream);
    return { finish: () => slow.forEach((one) => one()) };
  }

  it("costs its own request alone: 502, and neither the instance nor the requests beside it", async () => {
    const { finish } = await served();
    const beside = [1, 2, 3].map(() => platform.call("/slow"));
    for (let i = 0; i < 5; i += 1) {
      const answer = await platform.call("/breaks");
      expect([answer.status, codeOf(answer)]).toEqual([502, "FUNCTION_BAD_RESPONSE"]);
    }
    finish();
    expect((await Promise.all(beside)).map(({ body }) => body)).toEqual(["finished", "finished", "finished"]);
    expect([platform.reasons(), platform.control.leaseRequests.length]).toEqual([[], 1]);
  });
  it("in the middle of its answer costs this answer alone", async () => {
    const { finish } = await served();
    const beside = [1, 2, 3].map(() => platform.call("/slow"));
    await expect(platform.call("/midway")).rejects.toThrow();
    finish();
    expect((await Promise.all(beside)).map(({ body }) => body)).toEqual(["finished", "finished", "finished"]);
    expect([platform.reasons(), platform.control.leaseRequests.length]).toEqual([[], 1]);
  });
  async function goesOnAfterBreak(upstream: Upstream): Promise<void> {
    await platform.serve(upstream);
    const broken = platform.call("/breaks");
    await until(async () => (await platform.gauge("leases")) === 1);
    expect((await platform.call("/")).body).toBe("good");
    expect((await broken).status).toBe(502);
    expect(platform.reasons()).toEqual([]);
  }
  it("keeps new requests away only until the instance says that it lives, although the handler goes on", async () => {
    const upstream = await platform.upstream(
      (request, answer) => void (request.url === "/breaks" ? request.socket.destroy() : answer.end("good")),
      () => undefined,
    );
    await goesOnAfterBreak(upstream);
  });
  it("keeps them away for a moment when the instance is busy and says nothing", async () => {
    const upstream = await platform.rawUpstream((socket) =>
      socket.on("data", (chunk: Buffer) => {
        const path = /^GET (\S+)/.exec(chunk.toString())?.[1] ?? "";
        if (path === "/breaks") socket.destroy();
        else if (path === "/") socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood");
      }),
    );
    await goesOnAfterBreak(upstream);
  });
});
