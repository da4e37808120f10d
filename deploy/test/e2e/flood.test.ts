// SECURITY I3: a function that prints without end, while the log collector and the control plane are killed: no request of a neighbour
// fails, and the flood itself is counted and capped. `npm run reliability` judges by how much it delays a neighbour.
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { afterAll, beforeAll, expect, test } from "vitest";
import { api, call, stateDir } from "./api.ts";
import { fnctl } from "./cli.ts";
import { deployFixture } from "./fixture.ts";
import { withNeighbour } from "./neighbour.ts";
import { killAndWait } from "./processes.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  await deployFixture("flooding", "writer.js", { max: 1 });
  await deployFixture("quiet", "echo.js", { min: 1 });
});
afterAll(async () => {
  for (const name of ["flooding", "quiet"]) await api("DELETE", `/v1/functions/${name}`);
});

test("a flood of lines costs a neighbour no request, while collector and control plane are killed", async () => {
  expect((await call("flooding", "/flood")).status).toBe(200);
  const storm = await withNeighbour("quiet", async () => {
    for (const part of ["log-collector", "control-plane", "log-collector"]) {
      await killAndWait(part);
      await sleep(700);
    }
  });
  expect(storm.bad).toEqual([]);
  expect(storm.served).toBeGreaterThan(50);
  const { flooding } = (await (await call("flooding")).json()) as { flooding: number };
  expect(flooding).toBeGreaterThan(5_000); // shows that printing never blocked the function
});

test("what was dropped is counted in the log, and the log stays within its size", async () => {
  const text = async () => (await fnctl(["logs", "flooding", "-n", "10000"])).stdout;
  await expect.poll(text, { timeout: 15_000, interval: 500 }).toMatch(/flood \d+/);
  await expect.poll(text, { timeout: 15_000, interval: 500 }).toMatch(/\d+ (log )?lines (were )?dropped/);
  expect(bytesBelow(path.join(stateDir, "logs"))).toBeLessThan(2 * LIMITS.logBytesPerFunction);
});

const bytesBelow = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
