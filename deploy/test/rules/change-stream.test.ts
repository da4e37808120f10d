// The change stream with more than fits in any buffer: 300,000 tokens and 200,000 routes, a reader that takes its time beside one that does not.
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";

const [TOKENS, ROUTES] = [300_000, 200_000];
const SECRET = "s".repeat(64);
const MIB = 1024 * 1024;
/** What 500,000 lines would take if they waited for a reader: they are 190 MB. */
const FLAT = 60 * MIB;
/** Both hold 280 MiB then. There is no room for a second table, nor for a snapshot in one piece. */
const HEAP = { controlPlane: 450, gateway: 450 };
let folder: string;
let children: ChildProcess[];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "feed-"));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

const socket = () => path.join(folder, "control");
/** `heapMib`: a process that needs more ends. */
function start(file: string, args: string[], heapMib: number): ChildProcess {
  const execArgv = ["--expose-gc", `--max-old-space-size=${heapMib}`];
  const child = fork(path.join(import.meta.dirname, "../src", file), args, { execArgv });
  children.push(child);
  return child;
}
const message = (child: ChildProcess) =>
  new Promise<unknown>((resolve, reject) => {
    const ended = () => reject(new Error("the process has ended"));
    child.once("exit", ended).once("message", (value) => {
      child.off("exit", ended);
      resolve(value);
    });
  });
async function ask(child: ChildProcess, order: string): Promise<Record<string, unknown>> {
  const answer = message(child);
  child.send(order);
  return (await answer) as Record<string, unknown>;
}
async function controlPlane(): Promise<ChildProcess> {
  const child = start("large-feed.ts", [socket(), SECRET, String(TOKENS), String(ROUTES)], HEAP.controlPlane);
  await message(child);
  return child;
}
const memoryOf = async (plane: ChildProcess) => Number((await ask(plane, "memory"))["memory"]);
/** A reader that takes what it is told to take. */
function slowReader(): Promise<IncomingMessage> {
  const options = { socketPath: socket(), path: `${INTERNAL_PATHS.changes}?holder=slow`, headers: { authorization: `Bearer ${SECRET}` } };
  return new Promise((resolve, reject) => void request(options, resolve).on("error", reject).end());
}
async function replica(): Promise<ChildProcess> {
  const child = start("large-replica.ts", [socket(), SECRET], HEAP.gateway);
  expect(await message(child)).toHaveProperty("whole");
  return child;
}

test("a snapshot of any size is read whole, beside a reader that is slow, and what waits for that one is not held in memory", async () => {
  const plane = await controlPlane();
  const before = await memoryOf(plane);
  const slow = (await slowReader()).pause();
  const fast = await replica();
  expect(await ask(fast, "look")).toMatchObject({ routes: ROUTES, tokens: TOKENS, version: 1 });
  expect((await memoryOf(plane)) - before).toBeLessThan(FLAT);

  await ask(plane, "change");
  await ask(plane, "remove");
  await expect.poll(() => ask(fast, "look")).toMatchObject({ routes: ROUTES - 1, tokens: TOKENS, version: 2 });

  const lines = await linesUntilWhole(slow);
  const last = new Map(
    lines.filter(({ type }) => type.startsWith("route")).map((line) => [line.route?.functionId ?? line.functionId, line]),
  );
  expect([...last.values()].filter(({ type }) => type === "route")).toHaveLength(ROUTES - 1);
  expect([...last.values()].find(({ route }) => route?.function === "function-0")).toMatchObject({ route: { targets: [{ version: 2 }] } });
  expect((await memoryOf(plane)) - before).toBeLessThan(FLAT);
});

test("a gateway that is given a second snapshot holds no second table beside the first", async () => {
  const first = await controlPlane();
  const gateway = await replica();
  first.kill("SIGKILL");
  rmSync(socket(), { force: true });
  const again = message(gateway);
  await controlPlane(); // of another stream, so all is told anew
  await again;
  expect(await ask(gateway, "look")).toMatchObject({ routes: ROUTES, tokens: TOKENS });
});

interface Line {
  type: string;
  functionId?: string;
  route?: { functionId: string; function: string; targets: { version: number }[] };
}
/** All that comes until what was missed has been told. */
async function linesUntilWhole(stream: IncomingMessage): Promise<Line[]> {
  const lines: Line[] = [];
  let rest = "";
  for await (const chunk of stream.setEncoding("utf8")) {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) lines.push(JSON.parse(part) as Line);
    if (lines.some(({ type }) => type === "snapshot-end")) break;
  }
  return lines;
}
