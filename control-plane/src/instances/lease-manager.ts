// Leases: which gateway may use which instance. One owner decides; gateways hold what they were given until it is recalled or lapses.
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../contract/errors.ts";
import type { Lease, leaseRequestSchema, releaseRequestSchema, renewRequestSchema } from "../contract/internal.ts";
import { newId } from "../ids/uuid7.ts";
import type { z } from "zod";
import { createInstanceTable, type Managed } from "./managed.ts";
import { createIsolationChange } from "./isolation-change.ts";
import { createRecentEnds } from "./recent-ends.ts";
import { LEASE_GRACE_MS, LEASE_TTL_MS } from "./reap.ts";
import type { Starter } from "./starter.ts";
import type { VersionInfo, VersionInfoCache } from "./version-info.ts";
import type { Instance } from "../sandbox/driver.ts";

/** Instances, builders not counted: a stop for mistakes, far above what fits on one machine, or what one owner can look after in a cluster. */
export const MAX_INSTANCES = { machine: 2_000, cluster: 50_000 } as const;
/** A gateway sees a connection end before the sandbox's process is gone, on a busy machine hundreds of milliseconds: so long the driver is asked again. */
const END_NOTICE_MS = 1_000;
const END_POLL_MS = 10;
/** After a load that failed, the same answer for this long: a broken function must not drain the pool. */
export const FAILED_INIT_MS = 2_000;

export interface InstanceFailure {
  tenantId: string;
  functionId: string;
  version: number;
  instance: string;
  reason: string;
  detail: string;
}
export interface LeaseManagerOptions {
  epoch: number;
  maxInstances: number;
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
  const starting = new Map<string, number>();
  /** All of them. */
  let begun = 0;
  const failed = new Map<string, { error: unknown; until: number }>();
  const recentEnds = createRecentEnds();
  const waiters = new Set<() => void>();
  const wake = () => {
    for (const waiter of waiters) waiter();
    waiters.clear();
  };
  const changed = (timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(done, timeoutMs);
      function done() {
        clearTimeout(timer);
        waiters.delete(done);
        resolve();
      }
      waiters.add(done);
    });

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

  /** Starts an instance of the version; it is in the table, free, when this resolves. */
  async function launch(info: VersionInfo): Promise<{ managed: Managed; timing: Lease["timing"] }> {
    const { versionId } = info.image;
    const known = failed.get(versionId);
    if (known !== undefined && known.until > Date.now()) throw known.error;
    failed.delete(versionId);
    if (table.size() + begun >= options.maxInstances)
      throw new PlatformError("CAPACITY_UNAVAILABLE", "This platform runs as many instances as it may.");
    begun++;
    starting.set(versionId, (starting.get(versionId) ?? 0) + 1);
    try {
      const { instance, timing } = await options.start(info);
      const managed = { ...freshlyManaged(instance, info), unjudged: 0 };
      table.add(managed);
      await requireFit(managed);
      return { managed, timing };
    } catch (error) {
      noteFailedStart(info, error);
      throw error;
    } finally {
      begun--;
      const left = (starting.get(versionId) ?? 1) - 1;
      if (left === 0) starting.delete(versionId);
      else starting.set(versionId, left);
      wake();
    }
  }

  function noteFailedStart(info: VersionInfo, error: unknown): void {
    if (!(error instanceof PlatformError) || error.code !== "INIT_FAILED") return;
    const { tenantId, functionId, versionId, version } = info.image;
    failed.set(versionId, { error, until: Date.now() + FAILED_INIT_MS });
    const stack = error.facts?.["stack"];
    options.onFailure({
      tenantId,
      functionId,
      version,
      instance: "",
      reason: "init-failed",
      detail: typeof stack === "string" ? `${error.message}\n${stack}` : error.message,
    });
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
      options.onFailure({ ...managed, instance: id, ...ended });
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
    startingOf: (versionId: string) => starting.get(versionId) ?? 0,

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
        const begunOfIt = starting.get(request.versionId) ?? 0;
        if (mine.length + begunOfIt < info.max) {
          const { managed, timing } = await launch(info);
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

    renew(request: z.infer<typeof renewRequestSchema>): { expiresAt: number; lost: string[] } {
      const expiresAt = Date.now() + LEASE_TTL_MS;
      const lost: string[] = [];
      for (const { leaseId, instance, versionId, inUse, slots } of request.leases) {
        const managed = table.get(instance);
        const own = managed?.lease?.leaseId === leaseId && managed.lease.holder === request.holder;
        const claimable = own || managed?.orphanUntil !== undefined;
        if (managed === undefined || managed.state !== "ready" || managed.versionId !== versionId || !claimable) {
          lost.push(leaseId);
          continue;
        }
        managed.inUse = inUse;
        managed.slots = slots;
        if (managed.lease?.leaseId === leaseId) managed.lease.expiresAt = expiresAt;
        else table.lease(managed, { leaseId, holder: request.holder, expiresAt });
        if (managed.unfit === true) lost.push(leaseId); // no new requests; those in it keep it alive until it is given back
      }
      return { expiresAt, lost };
    },

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
        if (!healthy) options.onFailure({ ...managed, instance: managed.instance.id, reason, detail: detail ?? "" });
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

function freshlyManaged(instance: Instance, { image, concurrency, idleTimeoutMs }: VersionInfo): Managed {
  const { tenantId, functionId, versionId, version } = image;
  const now = { inUse: 0, state: "ready", freeSince: Date.now() } as const;
  return { instance, tenantId, functionId, versionId, version, slots: concurrency, idleTimeoutMs, ...now };
}
