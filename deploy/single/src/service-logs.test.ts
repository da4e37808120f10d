// The supervisor's log files of parts that write without end: real files and a writer that appends.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepWithinSize } from "./service-logs.ts";

let folder: string;
let end: () => Promise<void> = () => Promise.resolve();
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), "fn-sl-"))));
afterEach(async () => {
  await end();
  rmSync(folder, { recursive: true });
});
const limits = { bytes: 100_000, lookMs: 20, tooMany: 8 };
const keep = (...files: string[]) =>
  (end = keepWithinSize(
    () => files,
    (error) => expect.unreachable(String(error)),
    limits,
  ));

test("a file that grows while its writer runs is emptied, with what was in it beside it, and the writer goes on at its beginning", async () => {
  const file = path.join(folder, "log");
  const log = openSync(file, "a");
  const script = `setInterval(() => require("fs").writeSync(1, ("x".repeat(99) + "\\n").repeat(200)), 25)`;
  const writer = spawn(process.execPath, ["-e", script], { stdio: ["ignore", log, "inherit"] });
  keep(file);
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, statSync(file).size)), 5);
  await expect.poll(() => existsSync(`${file}.1`) && statSync(file).size < 100_000, { timeout: 20_000 }).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  clearInterval(watch);
  writer.kill();
  await end();
  expect(most).toBeLessThan(8 * 100_000);
  expect(readFileSync(file).subarray(0, 1).toString()).not.toBe("\0"); // the file has no hole before lines written after it was emptied
  expect(statSync(`${file}.1`).size).toBeLessThan(8 * 100_000);
});

test("one within its size is left alone, one far beyond it is not even copied, and one that is not there is no error", async () => {
  const [small, huge] = [path.join(folder, "small"), path.join(folder, "huge")];
  writeFileSync(small, "x".repeat(100_000));
  writeFileSync(huge, "x".repeat(900_000));
  keep(small, huge, path.join(folder, "missing"));
  await expect.poll(() => statSync(huge).size, { timeout: 10_000 }).toBe(0);
  expect([statSync(small).size, existsSync(`${small}.1`), existsSync(`${huge}.1`)]).toEqual([100_000, false, false]);
});
