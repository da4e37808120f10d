// The warm pool over the memory driver: generic sandboxes, each given out once (SECURITY H1).
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newInstanceId } from "../../service/uuid7.ts";
import { createInstancesHost, type InstancesHost } from "../testing/instances-host.ts";
import { keyName } from "./pool-key.ts";
import { createFairQueue } from "../../service/fair-queue.ts";
import { createWarmPool } from "./warm-pool.ts";

const SIZE = 2;
const MANY = { parallel: 64, perOwner: 64 };
const NOW = { owner: "a-tenant", urgent: true };
let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
beforeEach(async () => {
  host = await createInstancesHost({ poolSize: SIZE });
  plane = host.controlPlane(1);
});
afterEach(async () => {
  await plane.pool.close(true);
  await host.close();
});
const soon = { timeout: 5_000, interval: 20 };
const waiting = () => plane.pool.counts()[keyName(host.key)] ?? 0;

describe("the warm pool", () => {
  test("fills itself, gives each sandbox once, and refills in the background", async () => {
    plane.pool.adopt([]);
    await plane.pool.whenFull(5_000);
    expect(waiting()).toBe(SIZE);
    const taken = await Promise.all([plane.pool.take(host.key, NOW), plane.pool.take(host.key, NOW)]);
    expect(new Set(taken.map(({ sandbox }) => sandbox.id)).size).toBe(2);
    expect(taken.map(({ startMs }) => startMs)).toEqual([undefined, undefined]); // both came from the pool
    await expect.poll(waiting, soon).toBe(SIZE);
    const now = (await host.driver.list()).map(({ id }) => id);
    expect(now).toHaveLength(SIZE + 2);
  });

  test("keeps what it holds for those who wait: what is only kept running starts its own", async () => {
    plane.pool.adopt([]);
    await plane.pool.whenFull(5_000);
    const { startMs } = await plane.pool.take(host.key, { owner: "a-tenant", urgent: false });
    expect(startMs).toBeGreaterThan(0);
    expect(waiting()).toBe(SIZE);
  });

  test("starts one on demand when it is empty, and says what that cost", async () => {
    const { sandbox, startMs } = await plane.pool.take(host.key, NOW);
    expect(sandbox.state).toBe("idle");
    expect(startMs).toBeGreaterThan(0);
  });

  test.each([
    ["memory size", { memoryMib: 256 as const }],
    ["way out", { egress: true }],
    ["kind", { kind: "builder" as const }],
  ])("never gives a sandbox of another %s", async (_what, other) => {
    plane.pool.adopt([]);
    await plane.pool.whenFull(5_000);
    const { sandbox, startMs } = await plane.pool.take({ ...host.key, ...other }, NOW);
    expect(sandbox).toMatchObject(other);
    expect(startMs).toBeGreaterThan(0);
    expect(waiting()).toBe(SIZE);
  });

  test("refuses a base that is not there instead of giving another", async () => {
    await expect(plane.pool.take({ ...host.key, base: `sha256:${"0".repeat(64)}` }, NOW)).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
  });

  test("tries again after a start that failed", async () => {
    let broken = true;
    const driver = { ...host.driver, start: (spec: never) => (broken ? Promise.reject(new Error("no room")) : host.driver.start(spec)) };
    const errors: unknown[] = [];
    const targets = { fixed: [{ key: host.key, size: 1 }], demandSize: 0, demandMs: 0, demandKinds: 0 };
    const onError = (error: unknown) => void errors.push(error);
    const pool = createWarmPool({
      driver,
      epoch: 1,
      queue: createFairQueue(MANY),
      targets,
      prepareEgress: async () => undefined,
      onError,
    });
    pool.adopt([]);
    await expect.poll(() => errors.length, soon).toBe(1);
    broken = false;
    await pool.whenFull(10_000);
    expect(pool.counts()).toEqual({ [keyName(host.key)]: 1 });
    expect(errors).toHaveLength(1); // it paused before the retry, so there was only one error
    await pool.close(true);
  });

  test("takes over idle sandboxes of a control plane before it, as many as it holds, and stops the rest", async () => {
    const start = () => host.driver.start({ ...host.key, id: newInstanceId(), epoch: 1 });
    const found = [await start(), await start(), await start()];
    const other = await host.driver.start({ ...host.key, memoryMib: 512, id: newInstanceId(), epoch: 1 });
    plane.pool.adopt([...found, other]);
    expect(waiting()).toBe(SIZE);
    await expect.poll(async () => (await host.driver.list()).map(({ id }) => id), soon).toEqual(found.slice(0, SIZE).map(({ id }) => id));
  });

  test("holds other kinds while they are asked for, no more of them than it may, and lets them go", async () => {
    const demandMs = 1_500;
    const targets = { fixed: [], demandSize: 1, demandMs, demandKinds: 2 };
    const onError = (error: unknown) => expect.fail(String(error));
    const pool = createWarmPool({
      driver: host.driver,
      epoch: 1,
      queue: createFairQueue(MANY),
      targets,
      prepareEgress: async () => undefined,
      onError,
    });
    const held = () => Object.entries(pool.counts()).filter(([, count]) => count > 0).map(([name]) => name); // prettier-ignore
    const keys = ([128, 256, 512] as const).map((memoryMib) => ({ ...host.key, memoryMib }));
    for (const key of keys) expect((await pool.take(key, NOW)).startMs).toBeGreaterThan(0);
    const lastTwo = keys.slice(1).map((key) => keyName(key));
    await expect.poll(held, soon).toEqual(lastTwo);
    expect((await pool.take(keys[2]!, NOW)).startMs).toBeUndefined(); // this time it came from the pool
    await expect.poll(held, { timeout: 4 * demandMs, interval: 20 }).toEqual([]);
    await expect.poll(async () => (await host.driver.list()).length, soon).toBe(4); // only the sandboxes that were given out are left
    await pool.close(true);
  });

  test("starts no more once it is closed", async () => {
    plane.pool.adopt([]);
    await plane.pool.close(true);
    expect(await host.driver.list()).toEqual([]);
  });
});
