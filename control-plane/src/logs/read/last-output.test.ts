import { Readable } from "node:stream";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { LogRecord } from "../../contract/logs.ts";
import { readLastOutput } from "./last-output.ts";

const image = { tenantId: randomUUID(), functionId: randomUUID(), version: 3 } as never;
const record = (message: string, more: Partial<LogRecord> = {}): LogRecord => ({
  at: 1,
  seq: 1,
  level: "info",
  source: "stdout",
  version: 3,
  instance: "mine",
  message,
  ...more,
});
const reading = (records: LogRecord[]) => ({
  read: async (_tenant: string, _fn: string, query: { version?: number | undefined }) => {
    expect(query.version).toBe(3);
    return Readable.from([Buffer.from(records.map((line) => `${JSON.stringify(line)}\n`).join(""))]);
  },
});

test("the last lines of this instance, and of nobody else", async () => {
  const others = [record("other", { instance: "other" }), record("note", { source: "platform" })];
  const mine = Array.from({ length: 12 }, (_line, index) => record(`line ${index}`, { source: index % 2 === 0 ? "stdout" : "stderr" }));
  expect(await readLastOutput(reading([...others, ...mine, ...others]), image, "mine")).toEqual(
    Array.from({ length: 10 }, (_line, index) => `line ${index + 2}`),
  );
});

test("a long line is cut; no lines are no lines", async () => {
  expect(await readLastOutput(reading([record("x".repeat(10_000))]), image, "mine")).toEqual(["x".repeat(400)]);
  expect(await readLastOutput(reading([]), image, "mine")).toEqual([]);
});
