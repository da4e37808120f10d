// Leases say which gateway may use which instance. The owner grants them; a gateway holds a lease until it is recalled or expires.
import type { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import type { GatewayEnded } from "../../contract/holder.ts";
import type { releaseRequestSchema, renewRequestSchema } from "../../contract/internal.ts";
import type { Sandbox } from "../../sandbox/driver.ts";
import { createDeaths } from "../start/deaths.ts";
import { createLauncher, type InstanceFailure } from "../start/launch.ts";
import type { Starter } from "../start/starter.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";
import { createAcquire } from "./acquire.ts";
import { createEnds } from "./ends.ts";
import { createSettling, voidLeases } from "./gateway-end.ts";
import { createInstanceTable, freshInstance, type Instance } from "./instance-table.ts";
import { createIsolationChange } from "./isolation-change.ts";
import { LEASE_GRACE_MS, LEASE_TTL_MS } from "./lease-times.ts";
import { releaseLeases } from "./release.ts";
import { renewLeases } from "./renew.ts";
import { createTenantUse, type InstanceCaps } from "./tenant-use.ts";
import { whenSettled } from "../../sandbox-client/settled.ts";
import { createWakeup } from "../../service/wakeup.ts";

/**
 * The most instances, builders not counted. This only stops mistakes: it is far above what fits on one machine, or what one owner can
 * handle in a cluster.
 */
export const MAX_INSTANCES = { machine: 2_000, cluster: 50_000 } as const;

export interface LeaseManagerOptions {
  epoch: number;
  maxInstances: number;
  /** What one tenant's instances may use. */
  caps: InstanceCaps;
  /** How many instances of the version are kept even without requests. */
  minOf(functionId: string, versionId: string): number;
  versions: VersionInfoCache;
  start: Starter;
  stopInstance(id: string): Promise<void>;
  listInstances(): Promise<Sandbox[]>;
  emit(change: { type: "recall"; leaseId: string } | { type: "instance-ended"; instance: string; reason: string }): void;
  /** An instance ended without being asked to, or did not load; this goes to the function's log and to `describe`. */
  onFailure(failure: InstanceFailure): void;
  onError(error: unknown): void;
}

export function createLeaseManager(options: LeaseManagerOptions) {
  const { onError, versions } = options;
  const table = createInstanceTable();
  const use = createTenantUse(table, options.caps);
  const deaths = createDeaths();
  const { wake, changed } = createWakeup();
  const ends = createEnds({ ...options, table, deaths, onEnding: wake });
  const recall = (leaseId: string): void => options.emit({ type: "recall", leaseId });
  const end = (instance: Instance): void => ends.announce(instance, "isolation-raised");
  const isolation = createIsolationChange({ table, versions, recall, end, stop: ends.stop, onError });

  /** The tenant's required isolation may have been raised since the instance began to start, so it is judged before any gateway gets it. */
  async function requireFit(instance: Instance): Promise<void> {
    await isolation.judge(instance);
    if (instance.unfit === true) throw new PlatformError("UNAVAILABLE", "The tenant's isolation was raised while the instance started.");
    if (instance.state !== "ready") throw new PlatformError("UNAVAILABLE", "The instance ended while it was looked at.");
    if (instance.unjudged !== undefined) throw new PlatformError("UNAVAILABLE", "Nobody can say how the tenant must be isolated now.");
  }
  const { launch, startingOf } = createLauncher({ ...options, table, use, deaths, requireFit, onSettled: wake });

  const settling = createSettling({ whenSettled, stop: ends.stop, wake });

  return {
    table,
    isolation,
    launch,
    startingOf,
    stop: ends.stop,
    reapEnded: ends.reap,
    acquire: createAcquire({ ...options, table, use, launch, startingOf, ends, settling, recall, requireFit, changed }),
    renew: (request: z.infer<typeof renewRequestSchema>) => renewLeases(table, request),
    async release(request: z.infer<typeof releaseRequestSchema>, keep: (instance: Instance) => boolean) {
      const ended = await releaseLeases({ table, ends }, request, keep);
      wake();
      return ended;
    },
    /** A gateway's process has ended, so its leases are void. Whoever reports it has seen it: no silence will do. */
    gatewayEnded(ended: GatewayEnded): void {
      for (const instance of voidLeases(table, ended)) if (instance.unfit === true) void ends.stop(instance);
      wake();
    },
    /** Takes over an instance that ran before this process did. */
    adopt(sandbox: Sandbox, info: VersionInfo): void {
      table.add({ ...freshInstance(sandbox, info), orphanUntil: Date.now() + LEASE_TTL_MS + LEASE_GRACE_MS });
    },
  };
}
export type LeaseManager = ReturnType<typeof createLeaseManager>;
