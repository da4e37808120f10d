// Clients and functions that try to use more than their share (SECURITY D5, H3); each limit is tested just below and above.
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Platform, TOKEN, sleep, until } from "../testing/platform.ts";
import { GATEWAY_LIMITS } from "./limits.ts";

const HEAD = `GET / HTTP/1.1\r\nhost: hello--acme.localhost\r\nauthorization: Bearer ${TOKEN}\r\n`;
let platform: Platform;
let sockets: Socket[] = [];
beforeEach(async () => {
  platform = await new Platform().start();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await platform.stop();
});
const good = () => platform.upstream((_request, answer) => answer.end("good"));

function dial(localAddress = "127.0.0.1"): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: platform.port, host: "127.0.0.1", localAddress });
    sockets.push(socket);
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}
/** All bytes until the other side ends the connection. */
function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
}

describe("a header that drips", () => {
  const dripFor = async (ms: number): Promise<string> => {
    const socket = await dial();
    const answer = answerOf(socket);
    socket.write(HEAD);
    for (const end = Date.now() + ms; Date.now() < end && !socket.closed;) {
      socket.write("x: 1\r\n", () => undefined);
      await sleep(500);
    }
    if (socket.writable) socket.write("connection: close\r\n\r\n", () => undefined);
    return answer;
  };
  it("is served when it ends within the time, and refused with 408 when it does not", async () => {
    await platform.serve(await good());
    const [within, beyond] = await Promise.all([
      dripFor(LIMITS.headersTimeoutMs / 2),
      dripFor(LIMITS.headersTimeoutMs + 3 * GATEWAY_LIMITS.lateCheckMs),
    ]);
    expect(within).toMatch(/^HTTP\/1\.1 200 /);
    expect(beyond).toMatch(/^HTTP\/1\.1 408 /);
    expect(beyond).toContain("REQUEST_TIMEOUT");
  }, 60_000);
});

describe("connections of one address", () => {
  it("are held up to the limit; the next is closed, and other addresses are served as before", async () => {
    await platform.serve(await good());
    for (let open = 0; open < GATEWAY_LIMITS.connectionsPerAddress; open += 100)
      await Promise.all(Array.from({ length: 100 }, () => dial("127.0.0.2")));
    const last = sockets.at(-1)!;
    const served = answerOf(last);
    last.write(`${HEAD}connection: close\r\n\r\n`);
    expect(await served).toContain("good");

    const refill = await dial("127.0.0.2"); // uses the slot that became free
    const refused = await dial("127.0.0.2");
    expect(await answerOf(refused)).toBe("");
    expect(refill.closed).toBe(false);
    expect((await platform.call("/")).body).toBe("good");
    expect(await platform.gauge("refused_connections_total")).toBe(1);
  }, 60_000);
});

describe("a response body", () => {
  const CHUNK = Buffer.alloc(4 * 1024 * 1024, "a");
  /** How much of an answer of `bytes` reaches the client, and whether the client sees it as complete. */
  async function receive(bytes: number): Promise<{ received: number; whole: boolean }> {
    const upstream = await platform.upstream((_request, answer) => {
      let left = bytes;
      const more = (): void => {
        while (left > 0) {
          const part = CHUNK.subarray(0, Math.min(left, CHUNK.length));
          left -= part.length;
          if (!answer.write(part)) return void answer.once("drain", more);
        }
        answer.end();
      };
      more();
    });
    await platform.serve(upstream, { timeoutMs: 60_000 });
    return new Promise((resolve) => {
      let received = 0;
      const done = (whole: boolean) => resolve({ received, whole });
      const headers = { host: "hello--acme.localhost", authorization: `Bearer ${TOKEN}` };
      const request = httpRequest({ host: "127.0.0.1", port: platform.port, agent: false, headers }, (response) => {
        response.on("data", (chunk: Buffer) => (received += chunk.length));
        response.on("error", () => done(false)).on("end", () => done(response.complete));
      });
      request.on("error", () => done(false)).end();
    });
  }
  it("of the largest size arrives whole", async () => {
    expect(await receive(LIMITS.responseBodyBytes)).toEqual({ received: LIMITS.responseBodyBytes, whole: true });
  }, 60_000);
  it("of one byte more is cut, and the client can tell", async () => {
    const { received, whole } = await receive(LIMITS.responseBodyBytes + 1);
    expect(whole).toBe(false);
    expect(received).toBeLessThanOrEqual(LIMITS.responseBodyBytes);
  }, 60_000);
});

describe("an instance that lost a request to its deadline (H3)", () => {
  it("keeps its other requests for the grace time and no longer", async () => {
    const stuck = await platform.upstream((request, answer) => void (request.url === "/other" && answer.write("part")));
    const route = await platform.serve(stuck, { timeoutMs: 60_000 });
    let otherEnded = false;
    const other = platform.call("/other").catch(() => "cut");
    void other.then(() => (otherEnded = true));
    await until(async () => (await platform.gauge("leases")) === 1);
    platform.control.send({ type: "route", route: { ...route, timeoutMs: 150 } });
    await platform.settled();
    expect((await platform.call("/stuck")).status).toBe(504);
    await sleep(GATEWAY_LIMITS.lostInstanceGraceMs / 2);
    expect(otherEnded).toBe(false);
    expect(await other).toBe("cut");
    await until(() => platform.control.released.some(({ reason }) => reason === "timeout"));
  }, 30_000);
});
