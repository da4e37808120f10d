// The reconcile loop over the memory driver: wanted instances run and unwanted ones end, whatever failed meanwhile.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newInstanceId } from "../../service/uuid7.ts";
import { BACKOFF } from "./backoff.ts";
import { PARALLEL_MIN_STARTS } from "./minimum.ts";
import { LEASE_GRACE_MS } from "../leases/lease-times.ts";
import { decideReap } from "./reap.ts";
import { UNKNOWN_MS } from "./unknown-sandboxes.ts";
import { createInstancesHost, type InstancesHost } from "../testing/instances-host.ts";

let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
beforeEach(async () => {
  host = await createInstancesHost();
  plane = host.controlPlane(1);
});
afterEach(async () => {
  await plane.pool.close(true);
  await host.close();
});
const soon = { timeout: 5_000, interval: 20 };
const ofVersion = (versionId: string) => plane.leases.table.ofVersion(versionId).map(({ sandbox }) => sandbox.id);
const listed = async () => (await host.driver.list()).map(({ id }) => id);

describe("the reconciler", () => {
  test("starts the minimum of what is served, and not more", async () => {
    const { info } = await host.version({ min: 2 });
    host.serve(info);
    await plane.reconciler.turn();
    await plane.reconciler.turn();
    await expect.poll(() => ofVersion(info.image.versionId).length, soon).toBe(2);
    await plane.reconciler.turn();
    expect(plane.leases.table.size() + plane.leases.startingOf(info.image.versionId)).toBe(2);
  });

  test.each([
    ["crashed", (id: string) => host.driver.crash(id, "oom"), "oom"],
    ["vanished from the driver", (id: string) => host.driver.stop(id), "exited"],
  ])("replaces one that %s, and tells its holder and its owner", async (_what, end, reason) => {
    const { info } = await host.version({ min: 1 });
    host.serve(info);
    await plane.reconciler.turn();
    await expect.poll(() => ofVersion(info.image.versionId).length, soon).toBe(1);
    const [dead] = ofVersion(info.image.versionId);
    await end(dead!);
    await plane.reconciler.turn(Date.now() + BACKOFF.firstMs);
    await expect.poll(() => ofVersion(info.image.versionId).filter((id) => id !== dead).length, soon).toBe(1);
    expect(plane.emitted).toContainEqual({ type: "instance-ended", instance: dead, reason });
    expect(plane.failures).toMatchObject([{ reason, instance: dead }]);
  });

  test("replaces what ends again and again more and more slowly, and one that cannot start holds up no other", async () => {
    const [bad, good] = [await host.version({ min: 1 }, `throw new Error("no");`), await host.version({ min: 1 })];
    host.serve(bad.info);
    host.serve(good.info);
    host.routes.set("gone", { ...host.routes.get(bad.info.image.functionId)!, targets: [{ versionId: "gone", version: 1, weight: 100 }] });
    const begin = Date.now();
    for (let second = 0; second < 60; second++) {
      await plane.reconciler.turn(begin + second * 1000);
      await expect.poll(() => plane.leases.startingOf(bad.info.image.versionId), soon).toBe(0);
    }
    await expect.poll(() => ofVersion(good.info.image.versionId).length, soon).toBe(1);
    const tries = host.errors.filter((error) => String(error).includes("could not be loaded")).length;
    expect(tries).toBeGreaterThanOrEqual(4);
    expect(tries).toBeLessThanOrEqual(7);
  });

  test("starts so many at a time for the sake of `min`, then the next of them", async () => {
    const versions = await Promise.all(Array.from({ length: PARALLEL_MIN_STARTS + 8 }, () => host.version({ min: 1 })));
    for (const { info } of versions) host.serve(info);
    const starting = () => versions.reduce((sum, { info }) => sum + plane.leases.startingOf(info.image.versionId), 0);
    await plane.reconciler.turn();
    await new Promise((resolve) => setImmediate(resolve));
    expect(starting()).toBe(PARALLEL_MIN_STARTS);
    await expect.poll(() => plane.leases.table.size(), soon).toBe(versions.length);
  });

  test("drops a dead sandbox from the pool", async () => {
    plane.pool.adopt([]);
    await plane.pool.whenFull(5_000);
    const [idle] = await listed();
    await host.driver.crash(idle!);
    await plane.reconciler.turn();
    await expect.poll(listed, soon).not.toContain(idle);
    await plane.pool.whenFull(5_000);
    expect(plane.pool.holds(idle!)).toBe(false);
  });

  test("asks again for a stop that failed; until then the instance is not given out, and counts", async () => {
    let away = true;
    const driver = { ...host.driver, stop: (id: string) => (away ? Promise.reject(new Error("driver away")) : host.driver.stop(id)) };
    const other = host.controlPlane(2, driver);
    const { info, ask } = await host.version({ max: 5 });
    const lease = await other.leases.acquire(ask("gw-1"));
    await other.leases.release({ holder: "gw-1", leases: [{ leaseId: lease.leaseId, reason: "poisoned" }] }, () => false);
    await expect.poll(() => other.leases.table.get(lease.instance)?.state, soon).toBe("stuck");
    expect(other.leases.table.ofVersion(info.image.versionId)).toEqual([]);
    expect(other.leases.table.size()).toBe(1);
    await other.reconciler.turn();
    expect(await listed()).toContain(lease.instance);
    away = false;
    await other.reconciler.turn();
    await expect.poll(listed, soon).not.toContain(lease.instance);
    await expect.poll(() => other.leases.table.size(), soon).toBe(0);
    await other.pool.close(true);
  });

  test.each(["function", "builder"] as const)(
    "ends a %s sandbox that nobody knows, but not one that may still be under way",
    async (kind) => {
      const leftover = await host.driver.start({ ...host.key, kind, id: newInstanceId(), epoch: 1 });
      const begin = Date.now();
      await plane.reconciler.turn(begin);
      await plane.reconciler.turn(begin + UNKNOWN_MS[kind]);
      expect(await listed()).toContain(leftover.id);
      await plane.reconciler.turn(begin + UNKNOWN_MS[kind] + 1);
      await expect.poll(listed, soon).not.toContain(leftover.id);
    },
  );

  test("goes on while a stop of what nobody uses hangs, and asks for it once", async () => {
    const asked: string[] = [];
    const stop = (id: string) => (asked.push(id), new Promise<never>(() => undefined));
    const other = host.controlPlane(2, { ...host.driver, stop });
    const leftover = await host.driver.start({ ...host.key, id: newInstanceId(), epoch: 1 });
    const { info } = await host.version({ min: 1 });
    const begin = Date.now();
    await other.reconciler.turn(begin);
    host.serve(info);
    for (let turn = 1; turn < 4; turn++) await other.reconciler.turn(begin + UNKNOWN_MS.function + turn);
    await expect.poll(() => other.leases.table.ofVersion(info.image.versionId).length, soon).toBe(1);
    expect(asked).toEqual([leftover.id]);
    await other.pool.close(false);
  });
});

describe("which instances are to be stopped", () => {
  const now = 1_000_000;
  const free = (id: string, freeSince: number, versionId = "v1") =>
    ({ sandbox: { id }, functionId: "f", versionId, state: "ready", freeSince, idleTimeoutMs: 60_000 }) as never;
  const decide = (instances: never[], min = 0) =>
    decideReap({ instances, now, minOf: () => min, isLive: (_f, versionId) => versionId === "v1" }).map(({ instance, reason }) => [
      instance.sandbox.id,
      reason,
    ]);

  test("free ones beyond their idle time, never the ones below it", () => {
    expect(decide([free("old", now - 60_001), free("new", now - 60_000)])).toEqual([["old", "idle"]]);
  });

  test("but as many as the minimum stay, the newest of them", () => {
    const all = [free("a", now - 90_000), free("b", now - 80_000), free("c", now - 70_000)];
    expect(decide(all, 2)).toEqual([["a", "idle"]]);
    expect(decide(all, 3)).toEqual([]);
  });

  test("those of a version that no longer serves, after a short while, whatever the minimum", () => {
    expect(decide([free("old", now - LEASE_GRACE_MS - 1, "v0"), free("just", now - 10, "v0")], 5)).toEqual([["old", "superseded"]]);
  });
});
