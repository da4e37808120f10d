import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Platform, TOKEN, codeOf, sleep, until } from "../testing/platform.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start({}, { depth: 50, ms: 2_000 });
});
afterEach(() => platform.stop());

const good = () => platform.upstream((_request, answer) => answer.end("good"));

describe("deadlines (H3)", () => {
  it("504, the instance gets no new request and is released for it", async () => {
    let requests = 0;
    const stuck = await platform.upstream(() => void (requests += 1));
    await platform.serve(stuck, { timeoutMs: 150 });
    platform.leaseInTurn(stuck, await good());
    const late = await platform.call("/");
    expect([late.status, codeOf(late)]).toEqual([504, "FUNCTION_TIMEOUT"]);
    expect((await platform.call("/")).body).toBe("good");
    expect(requests).toBe(1);
    await until(() => platform.reasons().join() === "timeout");
  });

  it("lets the other requests of that instance finish", async () => {
    let finish: () => void = () => {};
    const upstream = await platform.upstream(
      (request, answer) => void (request.url === "/other" && (finish = () => answer.end("finished"))),
    );
    const route = await platform.serve(upstream, { timeoutMs: 60_000 });
    const other = platform.call("/other");
    await until(async () => (await platform.gauge("leases")) === 1);
    platform.control.send({ type: "route", route: { ...route, timeoutMs: 150 } });
    await platform.settled();
    expect((await platform.call("/stuck")).status).toBe(504);
    expect(platform.reasons()).toEqual([]);
    finish();
    expect((await other).body).toBe("finished");
    await until(() => platform.reasons().join() === "timeout");
  });

  it("cuts an answer that is late in its middle", async () => {
    const upstream = await platform.upstream((_request, answer) => void answer.write("part"));
    await platform.serve(upstream, { timeoutMs: 150 });
    await expect(platform.call("/")).rejects.toThrow();
    await until(() => platform.log().some((record) => record["code"] === "FUNCTION_TIMEOUT"));
  });

  it("does not blame the instance for a client that sends slowly", async () => {
    const upstream = await platform.upstream((request, answer) => void (request.method === "GET" ? answer.end("alive") : request.resume()));
    await platform.serve(upstream, { timeoutMs: 200 });
    for (const length of [10, 1_000_000]) {
      const status = await new Promise((resolve, reject) => {
        const request = httpRequest({
          host: "127.0.0.1",
          port: platform.port,
          method: "POST",
          agent: false,
          headers: { host: "hello--acme.localhost", authorization: `Bearer ${TOKEN}`, "content-length": length },
        });
        request.on("response", (answer) => resolve(answer.statusCode)).on("error", reject);
        request.write("slow");
      });
      expect(status).toBe(408);
    }
    expect((await platform.call("/")).body).toBe("alive");
    expect(platform.reasons()).toEqual([]);
    expect(platform.control.leaseRequests).toHaveLength(1);
  });
});

describe("poisoning (D6)", () => {
  it("delivers none of 1000 unsolicited answers, however busy the loop is", async () => {
    let answered = 0;
    const hostile = await platform.rawUpstream((socket) => {
      socket.on("data", (chunk: Buffer) => {
        const id = /GET \/(\S+)/.exec(chunk.toString())?.[1] ?? "";
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${id.length}\r\n\r\n${id}`);
        setImmediate(() => {
          // A second answer on the connection, which is idle now, would become the answer to the next request. The gateway runs in this
          // process, so while this spins it reads nothing, and then finds the next request and the poison together.
          socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nPOISONED");
          answered += 1;
          const end = performance.now() + (answered % 50 === 0 ? 80 + Math.random() * 120 : 0);
          while (performance.now() < end);
        });
      });
    });
    await platform.serve(hostile, { access: "public", max: 50 }, { slots: 4 });
    const bodies: string[] = [];
    const client = async (name: number): Promise<void> => {
      for (let i = 0; i < 250; i += 1) {
        const answer = await platform.call(`/r${name}x${i}`, { token: null });
        bodies.push(answer.body);
        if (answer.status === 200) expect(answer.body).toBe(`r${name}x${i}`);
      }
    };
    await Promise.all([1, 2, 3, 4].map(client));
    expect(bodies).toHaveLength(1_000);
    expect(bodies.filter((body) => body.includes("POISONED"))).toEqual([]);
    expect(bodies.filter((body) => /^r\dx\d+$/.test(body)).length).toBeGreaterThan(900);
    await until(() => platform.reasons().includes("poisoned"));
  }, 60_000);
});

describe("an answer that is cut", () => {
  const cutAnswer = () => platform.upstream((_request, answer) => void answer.write("part"));
  /** How a connection ends that sent these bytes: `end` when it was closed properly, else the error. */
  function fate(bytes: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(platform.port, "127.0.0.1");
      socket.on("data", () => undefined).on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      socket.on("end", () => resolve("end"));
      socket.write(bytes);
    });
  }
  const head = `Host: hello--acme.localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;

  it("ends the connection, also behind another answer", async () => {
    await platform.serve(
      await platform.upstream((request, answer) => void (request.url === "/ok" ? answer.end("ok") : answer.write("part"))),
      {
        timeoutMs: 150,
      },
    );
    expect(await fate(`GET /ok HTTP/1.1\r\n${head}GET /cut HTTP/1.1\r\n${head}`)).toBe("end");
  });
  it("ends an HTTP/1.0 connection with a reset: closing it is how a whole answer ends there", async () => {
    await platform.serve(await cutAnswer(), { timeoutMs: 150 });
    expect(await fate(`GET / HTTP/1.0\r\n${head}`)).toBe("ECONNRESET");
  });
});

it("a status that is none of HTTP's passes, and is counted among the last class", async () => {
  await platform.serve(
    await platform.rawUpstream((socket) => socket.on("data", () => socket.write("HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n"))),
  );
  expect((await platform.call("/")).status).toBe(999);
  const { body } = await platform.admin("GET", "/metrics");
  expect(body).toMatch(/responses_total\{class="5xx"\} 1\n/);
  expect(body).not.toContain("NaN");
});

it("a request that waits while its function is deployed anew is refused by the new version's rules", async () => {
  const route = await platform.serve(await good(), { cors: { origins: ["https://old.example"] } });
  platform.control.onLease = () => new Promise(() => undefined);
  const waiting = platform.call("/", { headers: { origin: "https://old.example" } });
  await until(async () => (await platform.gauge("waiting")) === 1);
  const [target] = route.targets;
  await platform.publish({
    ...route,
    cors: { origins: ["https://new.example"] },
    targets: [{ ...target!, versionId: crypto.randomUUID() }],
  });
  const answer = await waiting;
  expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([503, undefined]);
}, 20_000);

describe("a first instance that takes longer than the queue's time", () => {
  const QUEUE = { depth: 50, ms: 200, startMs: 1_000 };
  /** Its lease is granted after so many milliseconds. */
  async function startsAfter(ms: number): Promise<void> {
    await platform.stop();
    platform = await new Platform().start({}, QUEUE);
    await platform.serve(await good());
    const grant = platform.control.onLease;
    platform.control.onLease = async (request) => {
      await sleep(ms);
      return grant(request);
    };
  }
  it("is waited for as long as a start may take", async () => {
    await startsAfter(600);
    expect((await platform.call("/")).status).toBe(200);
  });
  it("is not waited for longer", async () => {
    await startsAfter(3_000);
    const begun = performance.now();
    const answer = await platform.call("/");
    expect([answer.status, codeOf(answer)]).toEqual([503, "CAPACITY_UNAVAILABLE"]);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(QUEUE.startMs - 20);
  });
});
