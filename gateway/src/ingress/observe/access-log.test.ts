import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createAccessLog, formatRecord } from "./access-log.ts";
import { Metrics } from "../measure/metrics.ts";
import type { Call, Ledger } from "../call/call.ts";
import { HeldBytes } from "../http/held-bytes.ts";
import { Pace } from "@fnctl/control-plane/service/pace";
import { HttpCaller } from "../http/http-caller.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "al-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const NOTHING: Ledger = { began: () => undefined, ended: () => undefined, unexpected: () => undefined };
const SHARED = {
  ledger: NOTHING,
  metrics: new Metrics(),
  held: { bodies: new HeldBytes(GATEWAY_LIMITS.held.bodies), answers: new HeldBytes(GATEWAY_LIMITS.held.answers) },
  refusals: new Pace(GATEWAY_LIMITS.refusals),
  isTrustedProxy: () => false,
  stalledWriteMs: 1_000,
  answered: () => undefined,
};

function requestFor(target: string): Call {
  const request = new IncomingMessage(new Socket());
  request.url = target;
  request.method = "GET";
  const { call } = new HttpCaller(request, new ServerResponse(request), SHARED);
  call.requestId = "request-1";
  return call;
}

it("keeps every record of a burst, in order and whole", async () => {
  const metrics = new Metrics();
  const log = createAccessLog(join(folder, "log"), metrics);
  for (let i = 0; i < 5_000; i += 1) log.record(requestFor(`/${i}/${"p".repeat(i % 900)}`));
  await log.flush();
  const paths = readFileSync(join(folder, "log"), "utf8")
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { path: string }).path);
  expect(paths.map((path) => Number(path.split("/")[1]))).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
  expect(metrics.logDropped).toBe(0);
  await log.flush();
});

it("writes one line of plain ASCII whatever the path and the reason hold (D10)", () => {
  for (const hostile of [
    "/\u001b]0;x\u0007",
    '/"\n{"level":"error"}',
    "/\u2028\u2029\u0085",
    "/\xff\xfe",
    "/\\",
    `/${"a".repeat(100_000)}`,
  ]) {
    const made = requestFor(hostile);
    made.reason = hostile;
    const line = formatRecord(made);
    expect(line).toMatch(/^[\x20-\x7e]+\n$/);
    expect(line.length).toBeLessThan(8_192);
    expect((JSON.parse(line) as { path: string }).path).toBe(hostile.slice(0, 1_024));
  }
});

it("leaves query values out", () => {
  expect(formatRecord(requestFor("/a?token=secret"))).not.toContain("secret");
});

it("keeps within its size and a few older files, whatever is recorded, and goes on where it was after a restart", async () => {
  const file = join(folder, "log");
  const limits = { bytes: 300_000, files: 2 };
  const metrics = new Metrics();
  const sizes = () => Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).size]));
  for (let life = 0; life < 3; life += 1) {
    const log = createAccessLog(file, metrics, limits);
    for (let i = 0; i < 3_000; i += 1) log.record(requestFor(`/${life}/${i}/${"p".repeat(200)}`));
    await log.flush();
    expect(Object.keys(sizes()).toSorted()).toEqual(["log", "log.1", "log.2"]);
    for (const size of Object.values(sizes())) expect(size).toBeLessThanOrEqual(limits.bytes);
  }
  const kept = ["log.2", "log.1", "log"].flatMap((name) => readFileSync(join(folder, name), "utf8").trim().split("\n"));
  const numbers = kept.map((line) => Number((JSON.parse(line) as { path: string }).path.split("/")[2]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 3_000 - numbers.length + i)); // the newest lines, without gaps
  expect(metrics.logDropped).toBe(0);
});

it("goes on in a new file when somebody removed it", async () => {
  const metrics = new Metrics();
  const file = join(folder, "log");
  const log = createAccessLog(file, metrics, { bytes: 100_000, files: 2 });
  log.record(requestFor("/before"));
  await log.flush();
  rmSync(file);
  for (let i = 0; i < 3_000; i += 1) log.record(requestFor(`/${i}/${"p".repeat(200)}`));
  await log.flush();
  expect(readFileSync(file, "utf8")).toContain("/2999/");
  expect(metrics.logDropped).toBe(0);
});

it("writes no more into a file that is full and cannot be renamed, and says how much that was", async () => {
  const metrics = new Metrics();
  const log = createAccessLog(join(folder, "log"), metrics, { bytes: 300_000, files: 2 });
  mkdirSync(join(folder, "log.2", "in-the-way"), { recursive: true });
  for (let i = 0; i < 3_000; i += 1) log.record(requestFor(`/${i}/${"p".repeat(200)}`));
  await log.flush();
  expect(statSync(join(folder, "log")).size).toBeLessThanOrEqual(300_000);
  expect(metrics.logDropped).toBeGreaterThan(0);
});
