// Requests that are refused: who asks too many waits for the answers, and nobody else does.
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Platform, sleep, until } from "../testing/platform.ts";

const REFUSED = "GET / HTTP/1.1\r\nhost: nobody--nothing.localhost\r\n\r\n";
const SERVED = "GET / HTTP/1.1\r\nhost: hello--acme.localhost\r\n\r\n";
const BURST = 5;
let platform: Platform;
let sockets: Socket[] = [];
beforeEach(async () => {
  const refusals = { perSecond: 2, burst: BURST, waitMs: 20_000, owners: 100 };
  platform = await new Platform().start({}, undefined, { limits: { refusals } });
  await platform.serve(await platform.upstream((_request, answer) => answer.end("ok")), { access: "public" });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await platform.stop();
});
async function dial(address: string, sent: string): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect({ port: platform.port, host: "127.0.0.1", localAddress: address }), { text: "" });
  sockets.push(socket);
  socket.on("error", () => undefined).on("data", (chunk: Buffer) => (socket.text += chunk.toString("latin1")));
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(sent);
  return socket;
}

it("the refusals of one address beyond a burst come one after the other; its calls and other addresses' refusals come at once", async () => {
  const clients = await Promise.all(Array.from({ length: BURST + 2 }, () => dial("127.0.0.2", REFUSED)));
  const answered = () => clients.filter(({ text }) => text.includes("HTTP/1.1 401")).length;
  await until(() => answered() >= BURST);
  const [served, other] = [await dial("127.0.0.2", SERVED), await dial("127.0.0.3", REFUSED)];
  await until(() => served.text.includes("HTTP/1.1 200") && other.text.includes("HTTP/1.1 401"));
  expect(answered()).toBeLessThan(BURST + 2);
  await until(() => answered() === BURST + 2);
  expect(await platform.gauge("refused_late_total")).toBe(2);
  expect(clients.every(({ text }) => text.includes('"code":"UNAUTHENTICATED"'))).toBe(true);
});

it("what a connection sends behind a refusal that waits is served after it, and one that leaves meanwhile is gone", async () => {
  const [first] = await Promise.all([dial("127.0.0.2", REFUSED.repeat(BURST + 1) + SERVED), dial("127.0.0.3", REFUSED)]);
  await until(() => first!.text.includes("HTTP/1.1 200"));
  expect(first!.text.match(/HTTP\/1.1 (401|200)/g)).toEqual([...Array.from({ length: BURST + 1 }, () => "HTTP/1.1 401"), "HTTP/1.1 200"]);
  const leaving = await Promise.all(Array.from({ length: 4 }, () => dial("127.0.0.2", REFUSED)));
  for (const socket of leaving) socket.destroy();
  first!.destroy();
  await sleep(100);
  await until(async () => (await platform.gauge("connections")) === 1); // the other address's
  expect(platform.warnings).toEqual([]);
});
