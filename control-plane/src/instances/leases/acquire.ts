// A gateway asks for an instance of a version: a free one, else a new one, else one that another gateway holds and gives back.
import type { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import type { Lease, leaseRequestSchema } from "../../contract/internal.ts";
import { newId } from "../../service/uuid7.ts";
import type { Launch } from "../start/launch.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";
import type { Ends } from "./ends.ts";
import type { HeldLease, Instance, InstanceTable } from "./instance-table.ts";
import type { Settling } from "./gateway-end.ts";
import { LEASE_TTL_MS } from "./lease-times.ts";
import type { TenantUse } from "./tenant-use.ts";

/** Pause between two looks while a request waits for another instance to end and make room. */
const ROOM_POLL_MS = 50;
/** Pause between two looks while another gateway's instance is being recalled. */
const RECALL_POLL_MS = 200;

/** A lease is asked back no more often: every gateway hears it. */
const RECALL_AGAIN_MS = 1_000;
/** Calls of one tenant that wait for room; one more is refused, and its gateway asks again later. */
export const WAITING_PER_TENANT = 32;

/** How long an instance whose gateway has ended is asked what runs in it, before another one is started. */
const SETTLE_MS = 100;

export interface AcquireOptions {
  epoch: number;
  table: InstanceTable;
  use: Pick<TenantUse, "refusal">;
  versions: Pick<VersionInfoCache, "get">;
  launch: Launch;
  startingOf(versionId: string): number;
  ends: Pick<Ends, "stop">;
  settling: Settling;
  recall(leaseId: string): void;
  /** How many instances of the version are kept even without requests. */
  minOf(functionId: string, versionId: string): number;
  /** Throws when the instance may not be leased to any gateway. */
  requireFit(instance: Instance): Promise<void>;
  /** Resolves when something may have changed, or after this many milliseconds. */
  changed(timeoutMs: number): Promise<void>;
}

type Request = z.infer<typeof leaseRequestSchema>;

export function createAcquire(options: AcquireOptions) {
  const { table, use, requireFit, changed } = options;
  const room = createRoom(options);

  function recall(lease: HeldLease): void {
    if (Date.now() - (lease.recalledAt ?? 0) < RECALL_AGAIN_MS) return;
    lease.recalledAt = Date.now();
    options.recall(lease.leaseId);
  }

  function grant(instance: Instance, holder: string, timing?: Lease["timing"]): Lease {
    const { sandbox, functionId, versionId, version, slots } = instance;
    if (sandbox.address === undefined) {
      void options.ends.stop(instance); // or it would stay the first free one of its version, and fail every request
      throw new PlatformError("SANDBOX_FAILED", "The instance has no address.");
    }
    const lease = { leaseId: newId(), holder, expiresAt: Date.now() + LEASE_TTL_MS };
    table.lease(instance, lease);
    instance.inUse = 1; // a request waits for it; the holder's next renewal says how many there are
    return {
      leaseId: lease.leaseId,
      instance: sandbox.id,
      functionId,
      versionId,
      version,
      address: sandbox.address,
      slots,
      epoch: options.epoch,
      expiresAt: lease.expiresAt,
      ...(timing === undefined ? {} : { timing }),
    };
  }

  /**
   * Frees room for a tenant that runs as many instances as it may, by ending the one that is unused for longest. False: all are in use or
   * kept by `min`.
   */
  function makeRoom(tenantId: string): boolean {
    const spare = table
      .ofTenant(tenantId)
      .filter((one) => one.state === "ready" && one.orphanUntil === undefined && one.inUse === 0)
      .filter((one) => table.ofVersion(one.versionId).length > options.minOf(one.functionId, one.versionId))
      .toSorted((a, b) => a.freeSince - b.freeSince);
    const free = spare.find((one) => one.lease === undefined);
    const held = spare[0]?.lease;
    if (free !== undefined) void options.ends.stop(free);
    else if (held !== undefined) recall(held);
    return spare.length > 0 || table.ofTenant(tenantId).some(({ state }) => state === "stopping");
  }

  /** Starts one more instance, or waits a moment for room. Undefined: the caller must look again. */
  async function startOne(info: VersionInfo, holder: string, end: number): Promise<Lease | undefined> {
    const refusal = use.refusal(info);
    if (refusal !== undefined) {
      const { tenantId } = info.image;
      if (Date.now() >= end || !(await room.look(tenantId, () => makeRoom(tenantId)))) throw refusal;
      return undefined;
    }
    const { instance, timing } = await options.launch(info, "request");
    return instance.lease === undefined ? grant(instance, holder, timing) : undefined;
  }

  /** For a version that runs all instances that it may: recalls an instance from another gateway, and waits a moment for it. */
  async function askBack(mine: readonly Instance[], begun: number, info: VersionInfo, holder: string, end: number): Promise<void> {
    const elsewhere = mine.find(({ lease }) => lease !== undefined && lease.holder !== holder);
    if (begun === 0 && elsewhere === undefined && mine.every(({ lease }) => lease !== undefined))
      throw new PlatformError("CONCURRENCY_EXCEEDED", `All ${info.max} instances are in use.`);
    if (elsewhere?.lease !== undefined) recall(elsewhere.lease);
    if (Date.now() >= end) throw new PlatformError("CAPACITY_UNAVAILABLE", "No instance became free in time.");
    await changed(Math.min(RECALL_POLL_MS, end - Date.now()));
  }

  /** One try to find or start an instance. Undefined: try again. */
  async function attempt({ versionId, holder }: Request, info: VersionInfo, end: number): Promise<Lease | undefined> {
    const mine = table.ofVersion(versionId);
    const unheld = mine.filter(({ lease, orphanUntil }) => lease === undefined && orphanUntil === undefined);
    for (const instance of unheld) options.settling.begin(instance, info.init.limits.timeoutMs);
    const free = unheld.find(({ unsettled }) => unsettled === undefined);
    if (free !== undefined && free.unjudged === undefined) return grant(free, holder);
    if (free === undefined && unheld.length > 0) {
      // Most have nothing to end, and say so at once; another is worth its start only after a moment.
      await changed(Math.min(SETTLE_MS, Math.max(0, end - Date.now())));
      if (unheld.some(({ unsettled, lease }) => unsettled === undefined && lease === undefined)) return undefined;
    }
    const begun = options.startingOf(versionId);
    if (free !== undefined) await requireFit(free); // meanwhile another request may take it, so look again
    else if (mine.length + begun < info.max) return startOne(info, holder, end);
    else await askBack(mine, begun, info, holder, end);
    return undefined;
  }

  /** Waits at most `waitMs`. Throws NOT_FOUND, QUOTA_EXCEEDED, CONCURRENCY_EXCEEDED, CAPACITY_UNAVAILABLE, or a failed start's error. */
  return async function acquire(request: Request): Promise<Lease> {
    const info = await options.versions.get(request.functionId, request.versionId);
    const end = Date.now() + request.waitMs;
    for (;;) {
      const lease = await attempt(request, info, end);
      if (lease !== undefined) return lease;
    }
  };
}

/** All calls of one tenant that wait for room look for it together. */
function createRoom({ changed }: Pick<AcquireOptions, "changed">) {
  const looks = new Map<string, { waiting: number; after: Promise<boolean> }>();
  return {
    /** Resolves a moment after a look. False: there is no room to come, or too many wait already. `make` looks. */
    look(tenantId: string, make: () => boolean): Promise<boolean> {
      const known = looks.get(tenantId);
      if (known !== undefined) {
        known.waiting += 1;
        return known.waiting > WAITING_PER_TENANT ? Promise.resolve(false) : known.after;
      }
      const found = make();
      const after = found
        ? changed(ROOM_POLL_MS).then(() => {
            looks.delete(tenantId);
            return true;
          })
        : Promise.resolve(false);
      if (found) looks.set(tenantId, { waiting: 1, after });
      return after;
    },
  };
}
