// Leases: which gateway may use which instance. One owner decides; gateways hold what they were given until it is recalled or lapses.
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";
import type { Lease, leaseRequestSchema, releaseRequestSchema, renewRequestSchema } from "../../contract/internal.ts";
import { newId } from "../../service/uuid7.ts";
import type { z } from "zod";
import { createDeaths } from "../start/deaths.ts";
import { createLauncher, type InstanceFailure } from "../start/launch.ts";
import { createInstanceTable, freshlyManaged, type Managed } from "./managed.ts";
import { createIsolationChange } from "./isolation-change.ts";
import { createRecentEnds } from "./recent-ends.ts";
import { LEASE_GRACE_MS, LEASE_TTL_MS } from "./lease-times.ts";
import type { Starter } from "../start/starter.ts";
import { renewLeases } from "./renew.ts";
import { createTenantUse, type InstanceCaps } from "./tenant-use.ts";
import { createWakeup } from "./wakeup.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";
import type { Instance } from "../../sandbox/driver.ts";

/** Instances, builders not counted: a stop for mistakes, far above what fits on one machine, or what one owner can look after in a cluster. */
export const MAX_INSTANCES = { machine: 2_000, cluster: 50_000 } as const;
/** A gateway sees a connection end before the sandbox's process is gone, on a busy machine hundreds of milliseconds: so long the driver is asked again. */
const END_NOTICE_MS = 1_000;
const END_POLL_MS = 10;
/** While an instance ends that another function's request waits for. */
const ROOM_POLL_MS = 50;

export interface LeaseManagerOptions {
  epoch: number;
  maxInstances: number;
  /** What one tenant's instances may use. */
  caps: InstanceCaps;
  /** Instances of the version that are kept although nobody asks. */
  minOf(functionId: string, versionId: string): number;
  versions: VersionInfoCache;
  start: Starter;
  stopInstance(id: string): Promise<void>;
  listInstances(): Promise<Instance[]>;
  emit(change: { type: "recall"; leaseId: string } | { type: "instance-ended"; instance: string; reason: string }): void;
  /** An instance ended against its will, or did not load: for its owner's log and `describe`. */
  onFailure(failure: InstanceFailure): void;
  onError(error: unknown): void;
}

export function createLeaseManager(options: LeaseManagerOptions) {
  const table = createInstanceTable();
  const use = createTenantUse(table, options.caps);
  const deaths = createDeaths();
  const recentEnds = createRecentEnds();
  const { wake, changed } = createWakeup();

  function grant(managed: Managed, holder: string, timing?: Lease["timing"]): Lease {
    const lease = { leaseId: newId(), holder, expiresAt: Date.now() + LEASE_TTL_MS };
    table.lease(managed, lease);
    const { instance, functionId, versionId, version, slots } = managed;
    if (instance.address === undefined) throw new PlatformError("SANDBOX_FAILED", "The instance has no address.");
    const { address } = instance;
    return {
      leaseId: lease.leaseId,
      instance: instance.id,
      functionId,
      versionId,
      version,
      address,
      slots,
      epoch: options.epoch,
      expiresAt: lease.expiresAt,
      ...(timing === undefined ? {} : { timing }),
    };
  }

  /** Its tenant may have been raised since it was begun, and who asks meanwhile must not get what nobody has looked at. */
  async function requireFit(managed: Managed): Promise<void> {
    await isolation.judge(managed);
    if (managed.unfit === true) throw new PlatformError("UNAVAILABLE", "The tenant's isolation was raised while the instance started.");
    if (managed.state !== "ready") throw new PlatformError("UNAVAILABLE", "The instance ended while it was looked at.");
    if (managed.unjudged !== undefined) throw new PlatformError("UNAVAILABLE", "Nobody can say how the tenant must be isolated now.");
  }

  async function stop(managed: Managed): Promise<void> {
    if (managed.state === "stopping") return;
    managed.state = "stopping";
    wake();
    try {
      await options.stopInstance(managed.instance.id);
      table.remove(managed);
    } catch (error) {
      managed.state = "stuck"; // it still exists and counts; the reconciler asks again
      options.onError(error);
    }
  }

  function announceEnd(managed: Managed, reason: string): void {
    options.emit({ type: "instance-ended", instance: managed.instance.id, reason });
    void stop(managed);
  }
  const isolation = createIsolationChange({
    table,
    versions: options.versions,
    recall: (leaseId) => options.emit({ type: "recall", leaseId }),
    end: (managed) => announceEnd(managed, "isolation-raised"),
    stop,
    onError: options.onError,
  });

  const { launch, startingOf } = createLauncher({ ...options, table, use, deaths, requireFit, onSettled: wake });

  function noteEnd(managed: Managed, why: { reason: string; detail: string }): void {
    deaths.ended(managed.versionId, Date.now() - managed.since);
    options.onFailure({ ...managed, instance: managed.instance.id, ...why });
  }

  /** For a tenant that has all it may: an instance that nobody uses goes, the one longest unused first. False: all are in use or kept. */
  function makeRoom(tenantId: string): boolean {
    const spare = table
      .ofTenant(tenantId)
      .filter((one) => one.state === "ready" && one.orphanUntil === undefined && one.inUse === 0)
      .filter((one) => table.ofVersion(one.versionId).length > options.minOf(one.functionId, one.versionId))
      .toSorted((a, b) => a.freeSince - b.freeSince);
    const free = spare.find((one) => one.lease === undefined);
    const held = spare[0]?.lease;
    if (free !== undefined) void stop(free);
    else if (held !== undefined) options.emit({ type: "recall", leaseId: held.leaseId });
    return spare.length > 0 || table.ofTenant(tenantId).some(({ state }) => state === "stopping");
  }

  /**
   * Why instances ended, as the driver says it; each is noted for its owner and removed. One that the driver no longer has is gone too.
   * Resolves with all that the driver has.
   */
  async function reapEnded(): Promise<Instance[]> {
    const before = table.all(); // what is added while the driver answers may not be in its answer
    const instances = await options.listInstances();
    const listed = new Map(instances.map((instance) => [instance.id, instance]));
    for (const managed of before) {
      const { id } = managed.instance;
      const found = listed.get(id);
      const ended = found === undefined ? { reason: "exited", detail: "The sandbox is gone." } : found.ended;
      if (managed.state !== "ready" || ended === undefined) continue;
      recentEnds.note(managed.lease, ended);
      noteEnd(managed, ended);
      announceEnd(managed, ended.reason);
    }
    return instances;
  }

  /** Resolves when the driver has noticed that these ended, or was given its time for it. */
  async function awaitEnds(broken: readonly Managed[]): Promise<void> {
    for (const until = Date.now() + END_NOTICE_MS; broken.some(({ state }) => state === "ready"); await sleep(END_POLL_MS)) {
      await reapEnded();
      if (Date.now() > until) break;
    }
  }

  return {
    table,
    isolation,
    launch,
    stop,
    reapEnded,
    startingOf,

    /** A lease on an instance of the version; starts one if `max` allows, recalls one that another gateway holds if not. */
    async acquire(request: z.infer<typeof leaseRequestSchema>): Promise<Lease> {
      const info = await options.versions.get(request.functionId, request.versionId);
      const end = Date.now() + request.waitMs;
      for (;;) {
        const mine = table.ofVersion(request.versionId);
        const free = mine.find((managed) => managed.lease === undefined && managed.orphanUntil === undefined);
        if (free?.unjudged !== undefined) {
          await requireFit(free);
          continue; // somebody else may have it by now
        }
        if (free !== undefined) return grant(free, request.holder);
        const begunOfIt = startingOf(request.versionId);
        if (mine.length + begunOfIt < info.max) {
          const refusal = use.refusal(info);
          if (refusal !== undefined) {
            if (!makeRoom(info.image.tenantId) || Date.now() >= end) throw refusal;
            await changed(Math.min(ROOM_POLL_MS, end - Date.now()));
            continue;
          }
          const { managed, timing } = await launch(info, "request");
          if (managed.lease === undefined) return grant(managed, request.holder, timing);
          continue;
        }
        const elsewhere = mine.find((managed) => managed.lease !== undefined && managed.lease.holder !== request.holder);
        if (begunOfIt === 0 && elsewhere === undefined && mine.every((managed) => managed.lease !== undefined)) {
          throw new PlatformError("CONCURRENCY_EXCEEDED", `All ${info.max} instances are in use.`);
        }
        if (elsewhere?.lease !== undefined) options.emit({ type: "recall", leaseId: elsewhere.lease.leaseId });
        if (Date.now() >= end) throw new PlatformError("CAPACITY_UNAVAILABLE", "No instance became free in time.");
        await changed(Math.min(200, end - Date.now()));
      }
    },

    renew: (request: z.infer<typeof renewRequestSchema>) => renewLeases(table, request),

    /** Takes leases back; answers why an instance ended where the holder found it broken. */
    async release(
      request: z.infer<typeof releaseRequestSchema>,
      keep: (managed: Managed) => boolean,
    ): Promise<{ leaseId: string; reason: string; detail: string }[]> {
      // Looked up first: what is found to have ended leaves the table meanwhile.
      const held = request.leases.flatMap(({ leaseId, reason, detail }) => {
        const managed = table.ofLease(leaseId);
        return managed?.lease?.holder === request.holder ? [{ leaseId, reason, detail, managed }] : [];
      });
      await awaitEnds(held.filter(({ reason }) => reason === "broken").map(({ managed }) => managed));
      const ended = request.leases.flatMap(({ leaseId }) => {
        const why = recentEnds.of(leaseId, request.holder);
        return why === undefined ? [] : [{ leaseId, ...why }];
      });
      for (const { reason, detail, managed } of held) {
        if (managed.state !== "ready") continue; // found ended here or by another look: noted, and on its way out
        const healthy = reason === "idle" || reason === "recalled" || reason === "drain";
        if (!healthy) noteEnd(managed, { reason, detail: detail ?? "" });
        table.lease(managed, undefined);
        if (!healthy || managed.unfit === true || (reason === "idle" && !keep(managed))) void stop(managed);
      }
      wake();
      return ended;
    },

    /** Takes over an instance that ran before this process did. */
    adopt(instance: Instance, info: VersionInfo): void {
      table.add({ ...freshlyManaged(instance, info), orphanUntil: Date.now() + LEASE_TTL_MS + LEASE_GRACE_MS });
    },
  };
}
export type LeaseManager = ReturnType<typeof createLeaseManager>;
