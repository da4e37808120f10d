// Limits that a client meets: concurrency, the queue, the header's size, the body's size.
import { beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { call } from "./api.ts";
import { deployFixture } from "./fixture.ts";
import { ask, connect, exchange, parse, requestHead } from "./raw.ts";
import { instancesOf } from "./processes.ts";

beforeAll(async () => {
  await deployFixture("single", "slow.js", { max: 1, concurrency: 1 });
  await deployFixture("scaled", "slow.js", { max: 3, concurrency: 2 });
  await deployFixture("echoing", "echo.js");
});
type Said = { id: string; most: number };
const times = <T>(count: number, work: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, work));
const problem = async (answer: Response) => ({ status: answer.status, ...((await answer.json()) as { code: string; hint: string }) });

describe("max: 1, concurrency: 1", () => {
  test("never runs two requests at once: the others wait, and all are served", async () => {
    await call("single");
    const begun = performance.now();
    const answers = await times(10, () => call("single", "/?ms=60"));
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 10 }, () => 200));
    const said = (await Promise.all(answers.map((answer) => answer.json()))) as Said[];
    expect(Math.max(...said.map(({ most }) => most))).toBe(1);
    expect(new Set(said.map(({ id }) => id)).size).toBe(1);
    expect(performance.now() - begun).toBeGreaterThan(590); // requests ran one after the other
    const waits = answers.map((answer) => Number(/queue;dur=([\d.]+)/.exec(answer.headers.get("server-timing") ?? "")?.[1]));
    expect(Math.max(...waits)).toBeGreaterThan(400); // and Server-Timing shows the wait
  });

  test("beyond the queue's depth: 429 at once with Retry-After; those in the queue are served", async () => {
    let firstDone = false;
    const first = call("single", "/?ms=5000").finally(() => (firstDone = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const waiting = times(LIMITS.queueDepth + 20, async () => {
      const answer = await call("single");
      return { answer, beforeFirst: !firstDone };
    });
    expect((await first).status).toBe(200);
    const all = await waiting;
    const refused = all.filter(({ answer }) => answer.status !== 200);
    expect(refused).toHaveLength(20);
    expect(refused.every(({ beforeFirst }) => beforeFirst)).toBe(true);
    for (const { answer } of refused) {
      expect(await problem(answer)).toMatchObject({
        status: 429,
        code: "CONCURRENCY_EXCEEDED",
        hint: expect.stringContaining("concurrency"),
      });
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(answer.headers.get("ratelimit")).not.toBeNull();
    }
  });

  test("a request that waits too long is refused, too", async () => {
    const first = call("single", `/?ms=${LIMITS.queueMs + 1_500}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await problem(await call("single"))).toMatchObject({ status: 429, code: "CONCURRENCY_EXCEEDED" });
    expect((await first).status).toBe(200);
  });
});

test("max: 3, concurrency: 2 serves six at once in three instances, and no more", async () => {
  const said = (await Promise.all((await times(12, () => call("scaled", "/?ms=700"))).map((answer) => answer.json()))) as Said[];
  expect(Math.max(...said.map(({ most }) => most))).toBe(2);
  expect(new Set(said.map(({ id }) => id)).size).toBe(3);
  expect(await instancesOf("scaled")).toHaveLength(3);
});

describe("the request's header", () => {
  const fields = (count: number) => Array.from({ length: count }, (_, i) => `x-field-${i}: ${i}`);

  test("may have as many fields as documented, and not one more", async () => {
    const own = 3; // host, authorization, connection
    expect((await ask("GET", "echoing", "/", fields(LIMITS.headerCount - own))).status).toBe(200);
    const refused = await ask("GET", "echoing", "/", fields(LIMITS.headerCount - own + 1));
    expect(refused.status).toBe(431);
    expect(JSON.parse(refused.body)).toMatchObject({ code: "HEADERS_TOO_LARGE" });
  });

  test("may have about as many bytes as documented, and not more", async () => {
    const padded = (bytes: number) => ask("GET", "echoing", "/", [`x-pad: ${"a".repeat(bytes)}`]);
    const kept = await padded(LIMITS.headerBytes - 500);
    expect(kept.status).toBe(200);
    expect(kept.body).toContain("a".repeat(LIMITS.headerBytes - 500)); // the header reaches the function uncut
    const refused = await padded(LIMITS.headerBytes + 1);
    expect(refused.status).toBe(431);
    expect(JSON.parse(refused.body)).toMatchObject({ code: "HEADERS_TOO_LARGE", requestId: expect.any(String) });
  });
});

describe("the request's body", () => {
  test("announced as too large is refused before it is sent", async () => {
    const head = requestHead("POST", "echoing", "/", [`content-length: ${LIMITS.requestBodyBytes + 1}`, "expect: 100-continue"]);
    const answer = parse(await exchange(head));
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  test("of exactly the cap passes; one byte more is cut off while it streams, and the instance stays", async () => {
    const whole = await call("echoing", "/", { method: "POST", body: Buffer.alloc(LIMITS.requestBodyBytes) });
    expect(((await whole.json()) as { bytes: number }).bytes).toBe(LIMITS.requestBodyBytes);
    const before = await instancesOf("echoing");
    expect(await chunkedUpload(LIMITS.requestBodyBytes + 1)).toBe(413);
    expect((await call("echoing")).status).toBe(200);
    expect(await instancesOf("echoing")).toEqual(before);
  });
});

/** Sends this many bytes without a content-length; resolves with the status as soon as there is one. */
function chunkedUpload(bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect();
    let left = bytes;
    const block = Buffer.alloc(256 * 1024);
    function send(): void {
      for (let full = true; left > 0 && full && !socket.destroyed;) {
        const part = block.subarray(0, Math.min(left, block.length));
        left -= part.length;
        full = socket.write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]));
        if (left === 0) socket.write("0\r\n\r\n");
      }
    }
    socket.on("drain", send).on("error", reject);
    socket.setEncoding("latin1").on("data", (text: string) => {
      resolve(parse(text).status);
      socket.destroy();
    });
    socket.write(requestHead("POST", "echoing", "/", ["transfer-encoding: chunked"]));
    send();
  });
}
