// The change stream with more than fits in any buffer: 300,000 tokens and 200,000 routes, a reader that takes its time beside one that does not.
import type { ChildProcess } from "node:child_process";
import { request, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { createLargeStream, message, type LargeStream } from "../src/large-stream.ts";

const SIZE = { tokens: 300_000, routes: 200_000 };
/** Both sides hold 280 MiB then. There is no room for a second table, nor for a snapshot in one piece. */
const HEAP_MIB = 450;
/** The 500,000 lines are 190 MB; so much less may be held for a reader that does not take them. */
const FLAT = 60 * 1024 * 1024;
let large: LargeStream;

beforeEach(() => {
  large = createLargeStream(HEAP_MIB);
});
afterEach(() => large.close());

const memoryOf = async (plane: ChildProcess) => Number((await large.ask(plane, "memory"))["memory"]);
/** A reader that takes what it is told to take. */
function slowReader(): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${large.secret}` };
  const options = { socketPath: large.socket, path: `${INTERNAL_PATHS.changes}?holder=slow`, headers };
  return new Promise((resolve, reject) => void request(options, resolve).on("error", reject).end());
}

test("a snapshot of any size is read whole, beside a reader that is slow, and what waits for that one is not held in memory", async () => {
  const plane = await large.controlPlane(SIZE);
  const before = await memoryOf(plane);
  const slow = (await slowReader()).setEncoding("utf8").pause();
  // It takes a little now and then, because who takes nothing for half a minute is cut, and this machine may be busy.
  let first = "";
  const sips = setInterval(() => (first += String(slow.read() ?? "")), 2_000);
  const { child: fast } = await large.gateway();
  expect(await large.ask(fast, "look")).toMatchObject({ ...SIZE, version: 1 });
  expect((await memoryOf(plane)) - before).toBeLessThan(FLAT);

  await large.ask(plane, "change");
  await large.ask(plane, "remove");
  await expect.poll(() => large.ask(fast, "look")).toMatchObject({ routes: SIZE.routes - 1, tokens: SIZE.tokens, version: 2 });

  clearInterval(sips);
  const lines = await linesUntilWhole(slow, first);
  const last = new Map(
    lines.filter(({ type }) => type.startsWith("route")).map((line) => [line.route?.functionId ?? line.functionId, line]),
  );
  expect([...last.values()].filter(({ type }) => type === "route")).toHaveLength(SIZE.routes - 1);
  expect([...last.values()].find(({ route }) => route?.function === "function-0")).toMatchObject({ route: { targets: [{ version: 2 }] } });
  expect((await memoryOf(plane)) - before).toBeLessThan(FLAT);
});

test("a gateway that is given a second snapshot holds no second table beside the first", async () => {
  const first = await large.controlPlane(SIZE);
  const { child: gateway } = await large.gateway();
  first.kill("SIGKILL");
  const again = message(gateway);
  await large.controlPlane(SIZE); // of another stream, so all is told anew
  await again;
  expect(await large.ask(gateway, "look")).toMatchObject({ ...SIZE });
});

interface Line {
  type: string;
  functionId?: string;
  route?: { functionId: string; function: string; targets: { version: number }[] };
}
/** All that comes until what was missed has been told. */
async function linesUntilWhole(stream: IncomingMessage, first: string): Promise<Line[]> {
  const lines: Line[] = [];
  let rest = first;
  for await (const chunk of stream) {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) lines.push(JSON.parse(part) as Line);
    if (lines.some(({ type }) => type === "snapshot-end")) break;
  }
  return lines;
}
