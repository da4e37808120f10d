// Limits on what one tenant's instances may use, through leases over the memory driver: they are exact, and room is made by ending unused
// instances.
import { randomUUID } from "node:crypto";
import type { PlatformError } from "../../contract/errors.ts";
import { WAITING_PER_TENANT } from "./acquire.ts";
import { afterEach, describe, expect, test } from "vitest";
import type { Lease } from "../../contract/internal.ts";
import { DEATHS } from "../start/deaths.ts";
import { createInstancesHost, type HostOptions, type InstancesHost, type VersionSettings } from "../testing/instances-host.ts";

let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
async function open(options: HostOptions): Promise<void> {
  host = await createInstancesHost(options);
  plane = host.controlPlane(1);
}
afterEach(async () => {
  await plane.pool.close(true);
  await host.close();
});
const soon = { timeout: 5_000, interval: 20 };
const tenantId = randomUUID();
const version = (settings: VersionSettings = {}) => host.version({ tenantId, ...settings });
const release = (lease: Lease, reason: "recalled" | "idle" = "recalled") =>
  plane.leases.release({ holder: "gw-1", leases: [{ leaseId: lease.leaseId, reason }] }, () => true);
/** Renews the lease and reports that requests are in the instance. */
const use = (lease: Lease, requests = 1) =>
  plane.leases.renew({
    holder: "gw-1",
    leases: [{ ...lease, inUse: requests }].map(({ leaseId, instance, functionId, versionId, slots, inUse, epoch }) => ({
      leaseId,
      instance,
      functionId,
      versionId,
      slots,
      inUse,
      epoch,
    })),
  });

describe("a tenant at its instances", () => {
  test("gets no more while all are in use, others do, and gets one when one is free again", async () => {
    await open({ caps: { instances: 3, memoryMib: 100_000 } });
    const held: Lease[] = [];
    for (let count = 0; count < 3; count++) held.push(await plane.leases.acquire((await version()).ask("gw-1")));
    for (const lease of held) use(lease);
    const next = await version();
    await expect(plane.leases.acquire(next.ask("gw-1", 200))).rejects.toMatchObject({
      code: "QUOTA_EXCEEDED",
      status: 429,
      hint: expect.any(String),
    });
    await plane.leases.acquire((await host.version()).ask("gw-1")); // a version of another tenant
    await release(held[0]!);
    await plane.leases.acquire(next.ask("gw-1", 5_000)); // the free instance was stopped to make room
    expect(plane.leases.table.useOf(tenantId).instances).toBe(3);
    expect(plane.leases.table.get(held[0]!.instance)).toBeUndefined();
  });

  test("is asked for one back that its gateway holds and does not use", async () => {
    await open({ caps: { instances: 1, memoryMib: 100_000 } });
    const idle = await plane.leases.acquire((await version()).ask("gw-1"));
    // Somebody waited for it, so it is in use until its gateway says otherwise.
    await expect(plane.leases.acquire((await version()).ask("gw-1", 200))).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    use(idle, 0);
    const waiting = plane.leases.acquire((await version()).ask("gw-1", 5_000));
    await expect.poll(() => plane.emitted, soon).toContainEqual({ type: "recall", leaseId: idle.leaseId });
    await release(idle);
    expect((await waiting).instance).not.toBe(idle.instance);
  });

  test("asks for one back once a second, for as many calls as may wait; one more is refused", async () => {
    await open({ caps: { instances: 1, memoryMib: 100_000 } });
    const idle = await plane.leases.acquire((await version()).ask("gw-1"));
    use(idle, 0);
    const asked = await Promise.all(Array.from({ length: WAITING_PER_TENANT + 5 }, () => version()));
    const answers = asked.map((one) => plane.leases.acquire(one.ask("gw-1", 1_500)).then(() => "granted", (error: PlatformError) => error.code)); // oxfmt-ignore
    const early = await Promise.race([...answers, new Promise((resolve) => setTimeout(resolve, 700, "none"))]);
    expect(early).toBe("QUOTA_EXCEEDED");
    await Promise.all(answers);
    const recalls = plane.emitted.filter(({ type }) => type === "recall").length;
    expect(recalls).toBeGreaterThan(0);
    expect(recalls).toBeLessThanOrEqual(3);
  });

  test("keeps what `min` keeps: room is made from other instances only", async () => {
    await open({ caps: { instances: 2, memoryMib: 100_000 } });
    const kept = await version({ min: 1 });
    host.serve(kept.info);
    await plane.reconciler.turn();
    await expect.poll(() => plane.leases.table.size(), soon).toBe(1);
    const other = await plane.leases.acquire((await version()).ask("gw-1"));
    use(other);
    await expect(plane.leases.acquire((await version()).ask("gw-1", 200))).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(plane.leases.table.ofVersion(kept.info.image.versionId)).toHaveLength(1);
  });

  test("may deploy all the same, a lower `min` among others: one version at a time is tried", async () => {
    await open({ caps: { instances: 2, memoryMib: 256 } });
    const kept = await version({ min: 2 });
    host.serve(kept.info);
    await plane.reconciler.turn();
    await expect.poll(() => plane.leases.table.size(), soon).toBe(2);
    const [lower, other] = [await version({ min: 1, memoryMib: 512 }), await version()];
    await plane.leases.launch(lower.info, "trial");
    await expect(plane.leases.launch(other.info, "trial")).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    await expect(plane.leases.launch(other.info, "request")).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
  });

  test("asked for by many at once is never above it", async () => {
    await open({ caps: { instances: 4, memoryMib: 100_000 } });
    const versions = await Promise.all(Array.from({ length: 12 }, () => version()));
    let most = 0;
    const asked = Promise.allSettled(versions.map(({ ask }) => plane.leases.acquire(ask("gw-1", 300)).then(use)));
    const watch = setInterval(() => (most = Math.max(most, plane.leases.table.useOf(tenantId).instances)), 1);
    await asked;
    clearInterval(watch);
    expect(most).toBeLessThanOrEqual(4);
  });
});

test("memory counts as what instances may use, on both sides of the cap", async () => {
  await open({ caps: { instances: 100, memoryMib: 1024 } });
  const two = [await version({ memoryMib: 512 }), await version({ memoryMib: 512 })];
  for (const { ask } of two) use(await plane.leases.acquire(ask("gw-1")));
  await expect(plane.leases.acquire((await version({ memoryMib: 128 })).ask("gw-1", 100))).rejects.toMatchObject({
    code: "QUOTA_EXCEEDED",
  });
  await plane.leases.acquire((await host.version({ memoryMib: 1024 })).ask("gw-1"));
});

test("a version whose instances die again and again is not started for each request", async () => {
  await open({});
  const { ask } = await version();
  let started = 0;
  for (let turn = 0; turn < 30; turn++) {
    const lease = await plane.leases.acquire(ask("gw-1")).catch((error: unknown) => error as { code: string });
    if ("code" in lease) {
      expect(lease).toMatchObject({ code: "FUNCTION_CRASHED", facts: { retryAfterSeconds: expect.any(Number) } });
      break;
    }
    started++;
    await host.driver.crash(lease.instance);
    await plane.leases.release({ holder: "gw-1", leases: [{ leaseId: lease.leaseId, reason: "broken" }] }, () => false);
    await new Promise((resolve) => setTimeout(resolve, DEATHS.firstMs + 10)); // deaths that come together count as one
  }
  expect(started).toBeLessThan(6);
});
