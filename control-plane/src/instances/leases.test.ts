// Leases over the memory driver: which gateway may use which instance, and what happens when holders, instances or owners go away (DESIGN
// 4).
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { leaseSchema, type Lease } from "../contract/internal.ts";
import { ask } from "../sandbox/testing/ask.ts";
import { LEASE_GRACE_MS, LEASE_TTL_MS } from "./leases/lease-times.ts";
import { MOST_INSTANCES, createInstancesHost, type InstancesHost } from "./testing/instances-host.ts";

let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
beforeEach(async () => {
  host = await createInstancesHost();
  plane = host.controlPlane(7);
});
afterEach(async () => {
  vi.useRealTimers();
  await plane.pool.close(true);
  await host.close();
});
/** Moves the clock of the leases forward by `ms`; timers stay real. */
const pass = (ms: number) => vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
const give = (holder: string, lease: Lease, reason: "idle" | "recalled" | "broken" | "poisoned" = "recalled") =>
  plane.leases.release({ holder, leases: [{ leaseId: lease.leaseId, reason }] }, () => false);
const renewal = (holder: string, ...leases: Lease[]) => ({
  holder,
  leases: leases.map(({ leaseId, instance, functionId, versionId, slots, epoch }) => ({
    leaseId,
    instance,
    functionId,
    versionId,
    slots,
    inUse: 1,
    epoch,
  })),
});
const serves = ({ address }: Lease) => (address.kind === "unix" ? ask({ id: "", address }, "/") : expect.unreachable("no Unix socket"));
const running = async () => (await host.driver.list()).filter(({ state }) => state === "loaded").map(({ id }) => id);
const soon = { timeout: 5_000, interval: 20 };

describe("a lease", () => {
  test("names the instance, its address and slots, the owner's epoch and when it lapses, and the instance serves", async () => {
    const { info, ask: wish } = await host.version({ concurrency: 4 });
    const lease = leaseSchema.strict().parse(await plane.leases.acquire(wish("gw-1")));
    const { functionId, versionId, version } = info.image;
    expect(lease).toMatchObject({ functionId, versionId, version, slots: 4, epoch: 7, address: { kind: "unix" } });
    expect(lease.expiresAt - Date.now()).toBeGreaterThan(LEASE_TTL_MS / 2);
    expect(lease.timing?.loadMs).toBeGreaterThan(0);
    expect((await serves(lease)).status).toBe(200);
  });

  test("of an instance without an address is refused once; that instance goes, and the next request has another", async () => {
    const { ask: wish } = await host.version({ max: 3 });
    const first = await plane.leases.acquire(wish("gw-1"));
    const broken = plane.leases.table.get(first.instance)!;
    delete broken.sandbox.address;
    await plane.leases.release({ holder: "gw-1", leases: [{ leaseId: first.leaseId, reason: "recalled" }] }, () => true);
    await expect(plane.leases.acquire(wish("gw-1"))).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
    expect((await plane.leases.acquire(wish("gw-1"))).instance).not.toBe(first.instance);
    await expect.poll(running, soon).not.toContain(first.instance);
  });

  test("is never of an instance that held another version, even when that one is free", async () => {
    const [one, two] = [await host.version(), await host.version()];
    const first = await plane.leases.acquire(one.ask("gw-1"));
    await give("gw-1", first);
    const second = await plane.leases.acquire(two.ask("gw-1"));
    expect(second.instance).not.toBe(first.instance);
    expect((await plane.leases.acquire(one.ask("gw-1"))).instance).toBe(first.instance); // the holding version gets it again
    const held = (await host.driver.list()).map(({ id, image }) => [id, image?.versionId]);
    expect(held).toContainEqual([first.instance, one.info.image.versionId]);
    expect(held).toContainEqual([second.instance, two.info.image.versionId]);
  });

  test("is refused at once when the holder has all instances itself", async () => {
    const { ask: wish } = await host.version({ max: 2 });
    await plane.leases.acquire(wish("gw-1"));
    await plane.leases.acquire(wish("gw-1"));
    await expect(plane.leases.acquire(wish("gw-1", 5_000))).rejects.toMatchObject({ code: "CONCURRENCY_EXCEEDED", status: 429 });
  });

  test("asked for by many at once never starts more instances than `max`, and each instance has one holder", async () => {
    const { ask: wish } = await host.version({ max: 3 });
    const asked = await Promise.allSettled(Array.from({ length: 12 }, () => plane.leases.acquire(wish("gw-1"))));
    const got = asked.flatMap((result) => (result.status === "fulfilled" ? [result.value.instance] : []));
    expect(new Set(got).size).toBe(got.length);
    expect(got.length).toBeLessThanOrEqual(3);
    expect((await running()).length).toBeLessThanOrEqual(3);
    expect(got.length).toBeGreaterThan(0);
  });

  test("starts instances up to the platform's most, and none beyond", async () => {
    const versions = await Promise.all(Array.from({ length: MOST_INSTANCES + 1 }, () => host.version()));
    for (const { ask: wish } of versions.slice(0, MOST_INSTANCES)) await plane.leases.acquire(wish("gw-1"));
    await expect(plane.leases.acquire(versions[MOST_INSTANCES]!.ask("gw-1"))).rejects.toMatchObject({ code: "CAPACITY_UNAVAILABLE" });
    expect(await running()).toHaveLength(MOST_INSTANCES);
  });

  test("of a version that is not there is refused", async () => {
    const { ask: wish } = await host.version();
    await expect(plane.leases.acquire({ ...wish("gw-1"), versionId: wish("gw-1").functionId })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});

describe("max: 1 behind two gateways", () => {
  test("serves both by recall, and never two at once", async () => {
    const { ask: wish } = await host.version({ max: 1, concurrency: 1 });
    const holding = new Map<string, Lease>();
    const serve = async (holder: string) => {
      const lease = await plane.leases.acquire(wish(holder, 10_000));
      expect([...holding.keys()]).toEqual([]);
      holding.set(holder, lease);
      await new Promise((resolve) => setTimeout(resolve, 5));
      holding.delete(holder);
      await give(holder, lease);
      return lease.instance;
    };
    const instances = new Set<string>();
    for (let round = 0; round < 10; round++) for (const id of await Promise.all([serve("gw-1"), serve("gw-2")])) instances.add(id);
    expect(instances.size).toBe(1);
    expect(await running()).toHaveLength(1);
  });

  test("asks the holder to give it back, and says so when that takes too long", async () => {
    const { ask: wish } = await host.version({ max: 1 });
    const { leaseId } = await plane.leases.acquire(wish("gw-1"));
    await expect(plane.leases.acquire(wish("gw-2", 300))).rejects.toMatchObject({ code: "CAPACITY_UNAVAILABLE", status: 503 });
    expect(plane.emitted).toContainEqual({ type: "recall", leaseId });
  });

  test("a lease cannot be given back by somebody else", async () => {
    const { ask: wish } = await host.version({ max: 1 });
    const lease = await plane.leases.acquire(wish("gw-1"));
    await give("gw-2", lease, "poisoned");
    expect(plane.leases.table.ofLease(lease.leaseId)?.lease?.holder).toBe("gw-1");
  });
});

describe("a holder that goes away", () => {
  test("keeps its instances by renewing; once it is silent they are stopped after its time and a grace", async () => {
    const { info, ask: wish } = await host.version();
    host.serve(info);
    const lease = await plane.leases.acquire(wish("gw-1"));
    pass(LEASE_TTL_MS - 100);
    expect(plane.leases.renew(renewal("gw-1", lease)).lost).toEqual([]);
    pass(LEASE_TTL_MS + LEASE_GRACE_MS - 100);
    await plane.reconciler.turn();
    expect(await running()).toEqual([lease.instance]);
    pass(200);
    await plane.reconciler.turn();
    await expect.poll(running, soon).toEqual([]);
    expect(plane.leases.renew(renewal("gw-1", lease)).lost).toEqual([lease.leaseId]);
  });
});

describe("a new owner", () => {
  test("grants a found instance to nobody before its holder spoke; the holder keeps it, with the same lease", async () => {
    const { info, ask: wish } = await host.version({ max: 1 });
    host.serve(info);
    const lease = await plane.leases.acquire(wish("gw-1"));
    const next = host.controlPlane(8);
    await next.reconciler.adopt();
    await expect(next.leases.acquire(wish("gw-2", 250))).rejects.toMatchObject({ code: "CAPACITY_UNAVAILABLE" });
    expect(next.leases.renew(renewal("gw-1", lease)).lost).toEqual([]);
    expect(next.leases.renew(renewal("gw-2", lease)).lost).toEqual([lease.leaseId]); // gw-2 cannot renew the lease of gw-1
    expect(next.leases.table.ofLease(lease.leaseId)?.lease?.holder).toBe("gw-1");
    expect(await running()).toEqual([lease.instance]);
    await next.pool.close(true);
  });

  test("believes the first of two who claim one instance", async () => {
    const { info, ask: wish } = await host.version({ max: 1 });
    host.serve(info);
    const lease = await plane.leases.acquire(wish("gw-1"));
    const next = host.controlPlane(8);
    await next.reconciler.adopt();
    expect(next.leases.renew(renewal("gw-1", lease)).lost).toEqual([]);
    expect(next.leases.renew(renewal("gw-2", { ...lease, leaseId: "another" })).lost).toEqual(["another"]);
    await next.pool.close(true);
  });

  test("stops what nobody claims, and never puts a sandbox that held code into the pool", async () => {
    const { info, ask: wish } = await host.version();
    host.serve(info);
    await plane.leases.acquire(wish("gw-1"));
    await plane.pool.close(true);
    const next = host.controlPlane(8);
    await next.reconciler.adopt();
    expect(next.pool.counts()).toEqual({});
    pass(LEASE_TTL_MS + LEASE_GRACE_MS + 100);
    await next.reconciler.turn();
    await expect.poll(running, soon).toEqual([]);
    await next.pool.close(true);
  });

  test("stops instances of versions that are gone, builders and half started ones", async () => {
    const { info, ask: wish } = await host.version();
    await plane.leases.acquire(wish("gw-1"));
    await host.driver.start({ ...host.key, kind: "builder", id: "b".repeat(20), epoch: 7 });
    await plane.pool.close(true);
    host.forget(info);
    const next = host.controlPlane(8);
    await next.reconciler.adopt();
    expect(await host.driver.list()).toEqual([]);
    await next.pool.close(true);
  });
});

describe("an instance", () => {
  test("whose code does not load ends at once, is noted with the user's own stack, and does not drain the pool", async () => {
    const { ask: wish } = await host.version({}, `throw new Error("no such thing");`);
    await expect(plane.leases.acquire(wish("gw-1"))).rejects.toMatchObject({ code: "INIT_FAILED" });
    await expect(plane.leases.acquire(wish("gw-1"))).rejects.toMatchObject({ code: "INIT_FAILED" });
    expect(plane.failures).toHaveLength(1); // the second answer came without starting a second sandbox
    expect(plane.failures[0]?.reason).toBe("init-failed");
    expect(plane.failures[0]?.detail).toContain("index.mjs");
    await expect.poll(running, soon).toEqual([]);
  });

  test("whose end the reconciler saw first: its holder, and nobody else, learns why all the same", async () => {
    const { ask: wish } = await host.version();
    const lease = await plane.leases.acquire(wish("gw-1"));
    await host.driver.crash(lease.instance, "oom");
    await plane.reconciler.turn();
    await expect.poll(running, soon).toEqual([]);
    expect(await give("gw-2", lease, "broken")).toEqual([]);
    expect(await give("gw-1", lease, "broken")).toMatchObject([{ leaseId: lease.leaseId, reason: "oom" }]);
  });

  test("that a holder found broken is stopped, and the holder learns why", async () => {
    const { ask: wish } = await host.version();
    const lease = await plane.leases.acquire(wish("gw-1"));
    await host.driver.crash(lease.instance, "oom");
    expect(await give("gw-1", lease, "broken")).toMatchObject([{ leaseId: lease.leaseId, reason: "oom" }]);
    expect(plane.emitted).toContainEqual({ type: "instance-ended", instance: lease.instance, reason: "oom" });
    await expect.poll(running, soon).toEqual([]);
    expect(plane.failures).toMatchObject([{ reason: "oom", instance: lease.instance }]);
  });

  test("that was poisoned is stopped although it runs, and is noted", async () => {
    const { ask: wish } = await host.version();
    const lease = await plane.leases.acquire(wish("gw-1"));
    await give("gw-1", lease, "poisoned");
    await expect.poll(running, soon).toEqual([]);
    expect(plane.failures).toMatchObject([{ reason: "poisoned" }]);
  });

  test.each(["crash", "stop"] as const)("that ended (%s) while it waited in the pool costs the request nothing", async (end) => {
    plane.pool.adopt([]);
    await plane.pool.whenFull(5_000);
    const [idle] = await host.driver.list();
    await host.driver[end](idle!.id);
    const { ask: wish } = await host.version();
    const lease = await plane.leases.acquire(wish("gw-1"));
    expect(lease.instance).not.toBe(idle!.id);
    expect((await serves(lease)).status).toBe(200);
    await expect.poll(async () => (await host.driver.list()).some(({ id }) => id === idle!.id), soon).toBe(false);
  });
});
