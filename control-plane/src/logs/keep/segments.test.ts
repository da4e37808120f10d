// The kept log of one function stays within its size: the oldest segments go, the newest lines stay.
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { COLLECTOR } from "./limits.ts";
import { createSegments, type Owner } from "./segments.ts";

let root: string;
const owner = (): Owner => ({ tenantId: randomUUID(), functionId: randomUUID() });
const open = () =>
  createSegments(root, (error) => {
    throw error; // an unhandled error fails the test run
  });
const draft = (message: string) => ({ level: "info" as const, source: "stdout" as const, version: 1, instance: "i", message });
const sizes = async ({ tenantId, functionId }: Owner) => {
  const folder = path.join(root, tenantId, functionId);
  return Promise.all((await readdir(folder)).map(async (name) => (await stat(path.join(folder, name))).size));
};
const newest = (segments: ReturnType<typeof open>, whose: Owner, limit = 1) => segments.read(whose, limit, undefined, () => true);

beforeEach(async () => (root = await mkdtemp(path.join(tmpdir(), "fn-seg-"))));
afterEach(async () => {
  vi.useRealTimers();
  await rm(root, { recursive: true, force: true });
});

test("a log that outgrows its size loses its oldest segments only, even when all of it comes at once", async () => {
  const segments = open();
  const [big, small] = [owner(), owner()];
  segments.append(small, draft("mine"));
  const line = "x".repeat(LIMITS.logLineBytes);
  const lines = Math.ceil((LIMITS.logBytesPerFunction * 1.5) / line.length);
  for (let index = 0; index < lines; index++) segments.append(big, draft(`${index} ${line}`));
  await segments.settle();
  const all = await sizes(big);
  const oneRecord = line.length + 512;
  expect(all.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(LIMITS.logBytesPerFunction + all.length * oneRecord);
  expect(Math.max(...all)).toBeLessThanOrEqual(COLLECTOR.segmentBytes + oneRecord);
  const kept = (await newest(segments, big, 10_000)).map(({ message }) => Number.parseInt(message, 10));
  expect(kept.at(-1)).toBe(lines - 1);
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => lines - kept.length + index));
  expect(kept.length * line.length).toBeGreaterThan(LIMITS.logBytesPerFunction * 0.9);
  expect((await newest(segments, small)).map(({ message }) => message)).toEqual(["mine"]);
});

test("while nothing can be written, no more is held in memory than would be kept, and it is the newest", async () => {
  const segments = open();
  const whose = owner();
  const line = "x".repeat(LIMITS.logLineBytes);
  const lines = (LIMITS.logBytesPerFunction / line.length) * 25;
  const before = process.memoryUsage().heapUsed;
  // Each message has bytes of its own.
  for (let index = 0; index < lines; index++) segments.append(whose, draft(`${index} ${Buffer.from(line).toString()}`));
  expect((process.memoryUsage().heapUsed - before) / LIMITS.logBytesPerFunction).toBeLessThan(10);
  await segments.settle();
  expect((await newest(segments, whose)).map(({ message }) => Number.parseInt(message, 10))).toEqual([lines - 1]);
});

test("many restarts neither begin a segment each nor lose a line", async () => {
  const whose = owner();
  for (let index = 0; index < 40; index++) {
    const segments = open();
    segments.append(whose, draft(`life ${index}`));
    await segments.settle();
  }
  expect(await sizes(whose)).toHaveLength(1);
  expect(await newest(open(), whose, 100)).toHaveLength(40);
});

test("a clock that is set back an hour does not make the newest segment the oldest", async () => {
  const whose = owner();
  const fill = async (text: string) => {
    const segments = open();
    for (let index = 0; index < 80; index++) segments.append(whose, draft(`${text} ${"x".repeat(LIMITS.logLineBytes - 20)}`));
    segments.append(whose, draft(text));
    await segments.settle();
  };
  await fill("before");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });
  await fill("after");
  expect((await newest(open(), whose)).map(({ message }) => message)).toEqual(["after"]);
});

test("lines since a time are all there, however long ago the collector began to count, and whatever the clock did", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 86_400_000 });
  const segments = open();
  vi.useRealTimers();
  const whose = owner();
  const now = Date.now();
  const text = "x".repeat(600);
  for (let index = 0; index < 3_000; index++) segments.append(whose, draft(`old ${text}`), now - 7_200_000);
  for (let index = 0; index < 5_000; index++) segments.append(whose, draft(`new ${text}`), now - 60_000 + index);
  for (let index = 0; index < 3_000; index++) segments.append(whose, draft(`set back ${text}`), now - 3_600_000);
  for (let index = 0; index < 5_000; index++) segments.append(whose, draft(`new ${text}`), now - 50_000 + index);
  await segments.settle();
  expect((await sizes(whose)).length).toBeGreaterThan(6);
  const since = now - 61_000;
  const read = await segments.read(whose, 20_000, since, ({ at }) => at >= since);
  expect(read).toHaveLength(10_000);
  const before = now - 7_200_001;
  expect(await segments.read(whose, 20_000, before, ({ at }) => at >= before)).toHaveLength(16_000);
});

test("a tenant's logs stay within a size, too: the function that has most loses its oldest, and others keep theirs", async () => {
  const segments = open();
  const tenantId = randomUUID();
  const functions = Array.from({ length: LIMITS.logBytesPerTenant / LIMITS.logBytesPerFunction + 3 }, () => ({
    tenantId,
    functionId: randomUUID(),
  }));
  const [quiet, ...loud] = functions as [Owner, ...Owner[]];
  const stranger = owner();
  segments.append(quiet, draft("mine"));
  segments.append(stranger, draft("another tenant's"));
  const line = "x".repeat(LIMITS.logLineBytes);
  for (const one of loud) {
    for (let index = 0; index < (LIMITS.logBytesPerFunction / line.length) * 1.1; index++) segments.append(one, draft(line));
    await segments.settle();
  }
  const all = (await Promise.all(functions.map(sizes))).flat();
  expect(all.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(LIMITS.logBytesPerTenant + all.length * (line.length + 512));
  expect(await newest(segments, quiet)).toHaveLength(1);
  expect(await newest(segments, stranger)).toHaveLength(1);
  for (const one of loud) expect((await newest(segments, one)).length).toBe(1);
});

test("lines that the disk did not take are counted in the log once it takes lines again", async () => {
  const errors: unknown[] = [];
  const segments = createSegments(root, (error) => errors.push(error));
  const whose = owner();
  await mkdir(path.join(root, whose.tenantId));
  const inTheWay = path.join(root, whose.tenantId, whose.functionId);
  await writeFile(inTheWay, "");
  for (const message of ["one", "two"]) segments.append(whose, draft(message));
  await segments.settle();
  segments.append(whose, draft("three"));
  await segments.settle();
  expect(errors).toHaveLength(2);
  await rm(inTheWay);
  for (const message of ["four", "five"]) {
    segments.append(whose, draft(message));
    await segments.settle();
  }
  const kept = await newest(segments, whose, 10);
  expect(kept.map(({ message }) => message)).toEqual(["four", "3 lines lost: they could not be written to the disk", "five"]);
  expect(kept[1]).toMatchObject({ source: "platform", version: 1, instance: "i" });
});
