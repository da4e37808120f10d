// A tenant is raised to elevated risk while its gVisor instances serve (SECURITY A2). Runs over the memory driver, which has no Kata.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PlatformError } from "../../contract/errors.ts";
import { createInstancesHost, type InstancesHost } from "../testing/instances-host.ts";

let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
beforeEach(async () => {
  host = await createInstancesHost();
  plane = host.controlPlane(7);
});
afterEach(async () => {
  await plane.pool.close(true);
  await host.close();
});
const running = async () => (await host.driver.list()).filter(({ state }) => state === "loaded").map(({ id }) => id);
const soon = { timeout: 5_000, interval: 20 };
const refusal = expect.objectContaining({ code: "ISOLATION_UNAVAILABLE" });

/** Makes a version with one instance that `gw-1` holds, and then raises its tenant's risk. */
async function raised() {
  const { info, ask } = await host.version();
  const lease = await plane.leases.acquire(ask("gw-1"));
  host.raise(info);
  await plane.leases.isolation.look();
  const { leaseId, instance, functionId, versionId, slots, epoch } = lease;
  const renewal = { holder: "gw-1", leases: [{ leaseId, instance, functionId, versionId, slots, epoch, inUse: 1 }] };
  const give = () => plane.leases.release({ holder: "gw-1", leases: [{ leaseId, reason: "recalled" }] }, () => true);
  return { info, ask, lease, renewal, give };
}

describe("an instance that is isolated less than its tenant must be", () => {
  test("is recalled, ends when its holder gives it back, and nobody gets another like it", async () => {
    const { ask, lease, give } = await raised();
    expect(plane.emitted).toEqual([{ type: "recall", leaseId: lease.leaseId }]);
    await expect(plane.leases.acquire(ask("gw-2"))).rejects.toEqual(refusal);
    expect(await running()).toEqual([lease.instance]); // it runs on, because requests may be in it
    await give();
    await expect.poll(running, soon).toEqual([]);
    await expect(plane.leases.acquire(ask("gw-1"))).rejects.toEqual(refusal);
  });

  test("is told to be lost at each renewal, and lives on while requests are in it", async () => {
    const { lease, renewal } = await raised();
    const { lost, expiresAt } = plane.leases.renew(renewal);
    expect(lost).toEqual([lease.leaseId]);
    expect(expiresAt).toBeGreaterThan(Date.now());
    await plane.reconciler.turn();
    expect(await running()).toEqual([lease.instance]);
  });

  test("ends at once when its holder has not confirmed that it sends nothing more", async () => {
    const { lease } = await raised();
    plane.leases.isolation.endUnconfirmed((holder) => holder === "gw-1");
    expect(await running()).toEqual([lease.instance]);
    plane.leases.isolation.endUnconfirmed(() => false);
    expect(plane.emitted.at(-1)).toEqual({ type: "instance-ended", instance: lease.instance, reason: "isolation-raised" });
    await expect.poll(running, soon).toEqual([]);
  });

  test("ends at once when nobody holds it", async () => {
    const { info, ask } = await host.version();
    const { leaseId } = await plane.leases.acquire(ask("gw-1"));
    await plane.leases.release({ holder: "gw-1", leases: [{ leaseId, reason: "recalled" }] }, () => true);
    expect(await running()).toHaveLength(1);
    host.raise(info);
    await plane.reconciler.turn(); // nothing announced the raise, but the reconciler's turn finds it
    await expect.poll(running, soon).toEqual([]);
  });

  test("is not handed out when it was still starting", async () => {
    const { info, ask } = await host.version();
    const starting = plane.leases.acquire(ask("gw-1"));
    await new Promise((resolve) => setImmediate(resolve)); // the version has been read
    host.raise(info);
    await expect(starting).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE$/) });
    await expect.poll(running, soon).toEqual([]);
  });

  test("that ran before a restart is recalled when its holder claims it", async () => {
    const { info, ask } = await host.version();
    const lease = await plane.leases.acquire(ask("gw-1"));
    host.raise(info);
    const next = host.controlPlane(8);
    await next.reconciler.adopt();
    await next.reconciler.turn();
    expect(await running()).toEqual([lease.instance]);
    const { leaseId, instance, functionId, versionId, slots, epoch } = lease;
    const renewed = next.leases.renew({ holder: "gw-1", leases: [{ leaseId, instance, functionId, versionId, slots, epoch, inUse: 0 }] });
    expect(renewed.lost).toEqual([leaseId]);
    await next.leases.release({ holder: "gw-1", leases: [{ leaseId, reason: "recalled" }] }, () => true);
    await expect.poll(running, soon).toEqual([]);
    await next.pool.close(true);
  });
});

describe("an instance whose version the database does not tell when its tenant is raised", () => {
  const gone = new Error("the database does not answer");
  const unavailable = expect.objectContaining({ code: "UNAVAILABLE" });
  async function silent() {
    const { info, ask } = await host.version();
    const lease = await plane.leases.acquire(ask("gw-1"));
    host.raise(info);
    host.silence(Promise.reject(gone));
    await plane.leases.isolation.look();
    return { info, ask, lease, tenantId: info.image.tenantId };
  }

  test("keeps the raise from being confirmed until it was looked at", async () => {
    const { lease, tenantId } = await silent();
    await expect(plane.leases.isolation.requireJudged(tenantId)).rejects.toEqual(unavailable);
    expect(plane.emitted).toEqual([]);
    host.silence();
    await plane.leases.isolation.requireJudged(tenantId);
    expect(plane.emitted).toEqual([{ type: "recall", leaseId: lease.leaseId }]);
  });

  test("is recalled by the next look that can tell", async () => {
    const { lease, tenantId } = await silent();
    host.silence();
    await plane.reconciler.turn();
    expect(plane.emitted).toEqual([{ type: "recall", leaseId: lease.leaseId }]);
    await plane.leases.isolation.requireJudged(tenantId);
  });

  test("goes on serving who holds it, and keeps nobody else's raise from being confirmed", async () => {
    const { lease } = await silent();
    const { leaseId, instance, functionId, versionId, slots, epoch } = lease;
    const renewal = { holder: "gw-1", leases: [{ leaseId, instance, functionId, versionId, slots, epoch, inUse: 1 }] };
    expect(plane.leases.renew(renewal).lost).toEqual([]);
    await plane.leases.isolation.requireJudged("another");
    expect(await running()).toEqual([instance]);
  });

  test("is not handed out when it was still starting, and is once it is known to be fit", async () => {
    const { ask } = await host.version();
    const starting = plane.leases.acquire(ask("gw-1"));
    await new Promise((resolve) => setImmediate(resolve)); // the version has been read
    host.silence(Promise.reject(gone));
    await expect(starting).rejects.toEqual(unavailable);
    const kept = await running();
    expect(kept).toHaveLength(1);
    host.silence();
    expect((await plane.leases.acquire(ask("gw-1"))).instance).toBe(kept[0]);
  });

  test("is not said to be fit by an answer from before the raise", async () => {
    const { info, ask } = await host.version();
    await plane.leases.acquire(ask("gw-1"));
    let answer = (): void => undefined;
    host.silence(new Promise<never>((_, reject) => (answer = () => reject(new PlatformError("NOT_FOUND", "Then there was none.")))));
    const [instance] = plane.leases.table.all();
    const before = plane.leases.isolation.judge(instance!);
    host.silence(Promise.reject(gone));
    await plane.leases.isolation.look();
    answer();
    await before;
    await expect(plane.leases.isolation.requireJudged(info.image.tenantId)).rejects.toEqual(unavailable);
  });

  test("does not count when its version is no more", async () => {
    const { info, ask } = await host.version();
    await plane.leases.acquire(ask("gw-1"));
    host.forget(info);
    await plane.leases.isolation.look();
    await plane.leases.isolation.requireJudged(info.image.tenantId);
    expect(host.errors).toEqual([]); // a removed function is no error; otherwise each instance would report one every second
  });
});
