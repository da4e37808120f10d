// What a function writes on its connection after its answer is nobody's answer (SECURITY D6).
import { createServer, type Server } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Platform } from "../testing/platform.ts";

const CLIENTS = 50;
/** In full 10,000 late answers; fewer show it, too: each was delivered when requests were sent at once. */
const ROUNDS = Number(process.env["FNCTL_LATE_ROUNDS"] ?? 8);

let platform: Platform;
let worker: Worker;
let busy: Server;
beforeEach(async () => {
  platform = await new Platform().start();
  const path = platform.path("late");
  const busyPath = platform.path("busy");
  busy = createServer((socket) => socket.on("data", (chunk: Buffer) => spin(Number(chunk.toString()))));
  await new Promise<void>((resolve) => busy.listen(busyPath, resolve));
  worker = new Worker(new URL("../testing/late-writer.ts", import.meta.url), {
    workerData: { path, port: platform.port, clients: CLIENTS, busyPath },
  });
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  await platform.serve({ path, close: async () => {} }, { access: "public", max: 50 }, { slots: CLIENTS });
});
afterEach(async () => {
  await worker.terminate();
  busy.close();
  await platform.stop();
});

/** The gateway runs in this thread. */
function spin(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}
function round(number: number): Promise<string[]> {
  return new Promise((resolve) => {
    worker.once("message", resolve);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, which has no origin
    worker.postMessage(number);
  });
}

it(`bytes that were written 5 ms before a request was sent are not its answer: none of ${CLIENTS * ROUNDS}`, async () => {
  const answers: string[] = [];
  for (let i = 0; i < ROUNDS; i += 1) answers.push(...(await round(i)));
  expect(answers.filter((answer) => answer.includes("POISONED")).length).toBe(0);
  expect(answers.length).toBeGreaterThan(0.5 * CLIENTS * ROUNDS);
  expect(answers.filter((answer) => /^200 r\d+x\d+$/.test(answer)).length).toBeGreaterThan(0.9 * answers.length);
  expect(platform.control.released.some(({ reason }) => reason === "poisoned")).toBe(true);
}, 600_000);

it("while every turn of the loop is long, requests go, whole", async () => {
  const sockets = new Set<unknown>();
  const echo = await platform.upstream((request, answer) => {
    sockets.add(request.socket);
    request.pipe(answer);
  });
  const route = await platform.serve(echo, { function: "echo", access: "public" }, { slots: 4 });
  const host = "echo--acme.localhost";
  let isBusy = true;
  const keepBusy = (): void => {
    spin(7);
    if (isBusy) setImmediate(keepBusy);
  };
  keepBusy();
  for (const size of [0, 10, 65_537, 300_000, 300_000]) {
    const body = Buffer.alloc(size, "body ");
    const answer = await platform.call("/", { host, method: "POST", token: null, body, headers: { "content-length": String(size) } });
    expect([answer.status, answer.body === body.toString()]).toEqual([200, true]);
  }
  isBusy = false;
  expect(sockets.size).toBeLessThanOrEqual(5);
  expect(platform.control.released.filter(({ reason }) => reason !== "idle")).toEqual([]);
  expect(platform.control.leaseRequests.filter(({ functionId }) => functionId === route.functionId)).toHaveLength(1);
});
