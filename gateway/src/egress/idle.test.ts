// Servers that stall: nothing is said for as long as a connection may be without a byte. The clock is moved; all else is real.
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { at, control, dial, eachTestItsOwn, records, rules, tcpServer } from "../testing/egress.ts";
import { EGRESS_LIMITS } from "./limits.ts";

eachTestItsOwn();
afterEach(() => void vi.useRealTimers());
const MINUTE = 60_000;
const OTHER = "00000000-0000-4000-8000-000000000002";

it("who is not answered is told so, a silent tunnel is cut, and one that says a byte a minute stays, as another tenant's does", async () => {
  const slow: Socket[] = [];
  const server = await tcpServer((socket) => socket.once("data", (first: Buffer) => first.includes("slow") && slow.push(socket)));
  const authority = `good.example:${server.port}`;
  await control("PUT", "i1", rules([server.port]));
  await control("PUT", "i2", rules([server.port], { tenantId: OTHER }));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const [silent, own, other] = [await dial(authority), await dial(authority), await dial(authority, { instance: "i2" })];
  for (const { socket } of [own, other]) socket.write("slow");
  let answer = "";
  const plain = connect(join(at("root"), "i1/s"));
  plain.on("data", (chunk: Buffer) => (answer += chunk.toString()));
  plain.write(`GET http://${authority}/ HTTP/1.1\r\nhost: ${authority}\r\n\r\n`);
  await expect.poll(() => [slow.length, server.got().includes("GET /")]).toEqual([2, true]);
  for (let minute = 1; minute <= EGRESS_LIMITS.idleMs / MINUTE; minute += 1) {
    expect([answer, silent.closed()]).toEqual(["", false]);
    for (const socket of slow) socket.write(".");
    await expect.poll(() => [own.got().length, other.got().length]).toEqual([minute, minute]);
    vi.advanceTimersByTime(MINUTE);
  }
  await expect.poll(() => silent.closed()).toBe(true);
  await expect.poll(() => answer).toMatch(/^HTTP\/1\.1 503 [^]*Nothing was said to or by good\.example:\d+ for 15 minutes/);
  expect([own.closed(), other.closed()]).toEqual([false, false]);
  await expect.poll(() => records().map(({ outcome }) => outcome)).toContainEqual(expect.stringMatching(/^cut: Nothing was said/));
});
