// What one client could take from the others: memory by the byte, connections, slots of a function, its life.
import { setFlagsFromString } from "node:v8";
import { connect, type Socket } from "node:net";
import { runInNewContext } from "node:vm";
import { afterEach, expect, it } from "vitest";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Platform, codeOf, sleep, until } from "../testing/platform.ts";
import { eachOf } from "./fleet/each-of.ts";
import { GATEWAY_LIMITS } from "./limits.ts";

const HOST = "host: hello--acme.localhost\r\n";
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;
let platform: Platform;
let sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await platform.stop();
});
const start = async (...args: Parameters<Platform["start"]>) => (platform = await new Platform().start(...args));
async function dial(address = "127.0.0.1"): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect({ port: platform.port, host: "127.0.0.1", localAddress: address }), { text: "" });
  sockets.push(socket);
  socket.on("error", () => undefined).setNoDelay(true);
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}
async function heard(address?: string): Promise<Socket & { text: string }> {
  const socket = await dial(address);
  socket.on("data", (chunk: Buffer) => (socket.text += chunk.toString("latin1")));
  return socket;
}
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A byte that is kept as it came is an object of 200 bytes and more. */
const MOST_PER_BYTE = 60;
const [CLIENTS, BYTES] = [20, 1_000];
it.each([
  ["gathered, of a known small length", 60_000, 1],
  ["streamed to a function that reads nothing", 600_000, 300_000], // more than the kernel takes for it
])("a body that comes byte by byte costs no more than its bytes: %s", async (_what, length, first) => {
  await start();
  await platform.serve(
    await platform.rawUpstream((socket) => void socket.pause()),
    { access: "public", timeoutMs: 60_000, concurrency: 100 },
    { slots: 100 },
  );
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => dial()));
  for (const client of clients) client.write(`POST / HTTP/1.1\r\n${HOST}content-length: ${length}\r\n\r\n${"b".repeat(first)}`);
  await sleep(500);
  const before = heap();
  for (let i = 0; i < BYTES; i += 1) {
    for (const client of clients) client.write("b");
    await turn();
    await turn();
  }
  await sleep(100);
  expect((heap() - before) / (CLIENTS * BYTES)).toBeLessThan(MOST_PER_BYTE);
});

it("an answer that comes byte by byte and is taken late arrives whole", async () => {
  await start();
  const [pieces, fill] = [3_000, 12 * 1024 * 1024];
  const upstream = await platform.upstream(async (_request, answer) => {
    answer.write(Buffer.alloc(fill, "x"));
    for (let i = 0; i < pieces; i += 1) {
      answer.write("b");
      await turn();
    }
    answer.end("end");
  });
  await platform.serve(upstream, { access: "public", timeoutMs: 60_000 });
  const client = await dial();
  client.pause().write(GET);
  await sleep(500);
  let bytes = 0;
  let last = "";
  client.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    last = (last + chunk.toString("latin1")).slice(-40);
  });
  client.resume();
  await until(() => last.endsWith("0\r\n\r\n"), 30_000);
  expect(last).toContain("end");
  expect(bytes).toBeGreaterThan(fill + pieces);
  await until(async () => (await platform.gauge("held_bytes")) === 0);
});

it("addresses that hold all there is of bodies do not keep another one from sending a little", async () => {
  const limits = { held: { bodies: { all: 200_000, perAddress: 100_000 }, answers: GATEWAY_LIMITS.held.answers } };
  await start({}, undefined, { limits });
  await platform.serve(await platform.upstream((request, answer) => void request.resume().on("end", () => answer.end("ok"))), {
    access: "public",
  });
  const post = (length: number, sent: number) => `POST / HTTP/1.1\r\n${HOST}content-length: ${length}\r\n\r\n${"b".repeat(sent)}`;
  const hogs = await Promise.all(["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"].map((address) => heard(address)));
  for (const hog of hogs) hog.write(post(50_000, 49_999));
  await until(async () => (await platform.gauge("held_bytes")) > 199_000);
  const other = await heard("127.0.0.4");
  other.write(post(5_000, 5_000));
  await until(() => other.text.includes("HTTP/1.1 200"));
  const evicted = hogs.filter(({ text }) => text.includes("429"));
  expect(evicted).toHaveLength(1);
  evicted[0]!.write("b"); // nothing more is kept for it
  await sleep(200);
  expect(await platform.gauge("held_bytes")).toBeLessThan(160_000);
  expect(hogs.filter(({ text }) => text.includes("429"))).toEqual(evicted); // and nobody else gives way for it
});

it("an instance does not end because its clients take their answers slowly", async () => {
  await start();
  const body = Buffer.alloc(30 * 1024 * 1024, "x");
  const upstream = await platform.upstream((_request, answer) => void answer.on("error", () => undefined).end(body));
  await platform.serve(upstream, { access: "public", timeoutMs: 1_500, concurrency: 50, max: 1 }, { slots: 50 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => dial()));
  for (const client of clients) client.pause().write(GET);
  await sleep(1_350);
  for (const client of clients)
    client.on("data", () => {
      client.pause();
      setTimeout(() => client.resume(), 3);
    });
  await until(async () => (await platform.gauge("in_flight")) === 0);
  expect(platform.reasons()).toEqual([]);
});

it("connections that are kept for a next request make room for one that has none", async () => {
  const connections = 20;
  await start({}, undefined, { limits: { connections } });
  await platform.serve(await platform.upstream((_request, answer) => answer.end("ok")), { access: "public" });
  const idle = await Promise.all(Array.from({ length: connections }, () => heard("127.0.0.2")));
  for (const socket of idle) socket.write(GET);
  await until(() => idle.every(({ text }) => text.includes("200")));
  const served = async () => {
    const other = await heard("127.0.0.3");
    other.write(GET);
    await Promise.race([new Promise((resolve) => other.once("close", resolve)), until(() => other.text.includes("200"))]);
    return other.text.includes("200");
  };
  await until(served);
});

it("one address has half of a function's slots for large bodies that do not come", async () => {
  await start({}, { depth: 5, ms: 300 });
  const upstream = await platform.upstream((request, answer) => void request.resume().on("end", () => answer.end("ok")));
  await platform.serve(upstream, { access: "public", timeoutMs: 30_000, concurrency: 4, max: 1 }, { slots: 4 });
  const head = `POST / HTTP/1.1\r\n${HOST}content-length: 600000\r\n\r\n`;
  const slow = [await heard("127.0.0.2"), await heard("127.0.0.2"), await heard("127.0.0.2")];
  for (const socket of slow) socket.write(head);
  await until(() => slow.some(({ text }) => text.includes("RATE_LIMITED")));
  expect(slow.filter(({ text }) => text.includes("429"))).toHaveLength(1);
  const other = await heard("127.0.0.3");
  other.write(head + "b".repeat(600_000));
  await until(() => other.text.includes("HTTP/1.1 200"));
  const first = slow.find(({ text }) => text === "")!;
  first.write("b".repeat(600_000));
  await until(() => first.text.includes("HTTP/1.1 200"));
  first.write(head); // its share is free again
  await sleep(100);
  expect(first.text).not.toContain("429");
});

it("what asking again will not change is not asked again by every request", async () => {
  await start();
  let asked = 0;
  await platform.serve(await platform.upstream((_request, answer) => answer.end("ok")), { access: "public" });
  platform.control.onLease = () => {
    asked += 1;
    throw new PlatformError("INIT_FAILED", "The code does not load.");
  };
  const codes = new Set<string>();
  const end = Date.now() + GATEWAY_LIMITS.refusalMs - 200;
  let requests = 0;
  for (; Date.now() < end; requests += 1) codes.add(codeOf(await platform.call("/", { token: null })));
  expect([...codes]).toEqual(["INIT_FAILED"]);
  expect(requests).toBeGreaterThan(asked);
  expect(asked).toBe(1);
  await sleep(GATEWAY_LIMITS.refusalMs);
  await platform.call("/", { token: null });
  expect(asked).toBe(2);
});

it("a request behind one that could not be read is not left without an answer: its connection ends, at once", async () => {
  await start();
  await platform.serve(await platform.upstream((_request, answer) => answer.end("ok")), { access: "public" });
  const begun = performance.now();
  const text = await platform.raw(`${GET}GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`);
  expect(text).toMatch(/200 OK[^]*400 Bad Request[^]*connection: close/i);
  expect(performance.now() - begun).toBeLessThan(GATEWAY_LIMITS.lingerMs);
});

it("what one request's step throws stops none of the other steps of a turn", async () => {
  await start();
  const done: number[] = [];
  const step = (one: number) => {
    if (one === 2) throw new Error("two");
    done.push(one);
  };
  expect(() => eachOf([1, 2, 3], step)).toThrow("two");
  expect(done).toEqual([1, 3]);
});
