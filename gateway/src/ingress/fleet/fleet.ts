// Manages all leases of this gateway: asks for more when requests wait, renews them, gives them back, and handles recalls by the control
// plane.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Lease, Route } from "@fnctl/control-plane/contract/internal";
import type { ControlClient } from "../replica/control-client.ts";
import { Instance, type ReleaseReason } from "./instance.ts";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { VersionFleet, type QueueLimits } from "./version-fleet.ts";

export interface Fleet {
  /** The fleet of one version of the route; made when first asked for. */
  forVersion(route: Route, versionId: string): VersionFleet;
  /** Asks the control plane for missing leases; call it after `enqueue`. */
  demand(fleet: VersionFleet): void;
  /** A request has ended and its slot is free. */
  done(fleet: VersionFleet, instance: Instance): void;
  /** The instance gets no new requests, and is released when its last request ends, or after `graceMs`. */
  close(fleet: VersionFleet, instance: Instance, reason: ReleaseReason, detail: string, graceMs?: number): void;
  /** Gives back the instances of versions that no route serves any more. */
  retireExcept(live: ReadonlySet<string>, functionId: string | undefined): VersionFleet[];
  recall(leaseId: string): void;
  instanceEnded(instance: string, reason: string): void;
  renewNow(): void;
  /** Gives all leases back; for the end of the process. */
  releaseAll(): Promise<void>;
  counts(): { leases: number; waiting: number };
}

interface Deps {
  control: Pick<ControlClient, "lease" | "renew" | "release">;
  metrics: Metrics;
  warn: (message: string, facts: Record<string, unknown>) => void;
  queue?: QueueLimits | undefined;
  /** The change stream stands, or stood a moment ago. */
  controlIsThere: () => boolean;
}
const CONTRACT_QUEUE: QueueLimits = { depth: LIMITS.queueDepth, ms: LIMITS.queueMs, startMs: GATEWAY_LIMITS.leaseWaitMs };

export function createFleet(deps: Deps): Fleet {
  return new LeaseFleet(deps);
}

class LeaseFleet implements Fleet {
  private readonly deps: Deps;
  private readonly fleets = new Map<string, VersionFleet>();
  /** The highest epoch seen for each function: a lease with a lower one comes from a deposed owner (SECURITY fact 8). */
  private readonly epochs = new Map<string, number>();
  private renewTimer: NodeJS.Timeout | undefined = undefined;
  private readonly sweepTimer: NodeJS.Timeout;
  private stopped = false;

  constructor(deps: Deps) {
    this.deps = deps;
    this.sweepTimer = setInterval(() => this.sweepIdle(), GATEWAY_LIMITS.idleSweepMs).unref();
  }

  forVersion(route: Route, versionId: string): VersionFleet {
    let fleet = this.fleets.get(versionId);
    if (fleet === undefined) {
      fleet = new VersionFleet(route.functionId, versionId, route, this.deps.queue ?? CONTRACT_QUEUE, this.deps.controlIsThere);
      this.fleets.set(versionId, fleet);
    }
    fleet.max = route.max;
    fleet.idleTimeoutMs = route.idleTimeoutMs;
    fleet.retired = false;
    return fleet;
  }

  demand(fleet: VersionFleet): void {
    if (fleet.retryTimer !== undefined || this.stopped) return;
    for (let missing = fleet.missing(); missing > 0; missing -= 1) void this.lease(fleet);
  }

  private async lease(fleet: VersionFleet): Promise<void> {
    fleet.leasing += 1;
    this.deps.metrics.leaseRequests += 1;
    try {
      const { functionId, versionId } = fleet;
      const lease = await this.deps.control.lease({ functionId, versionId, waitMs: GATEWAY_LIMITS.leaseWaitMs });
      fleet.leasing -= 1;
      this.adopt(fleet, lease);
    } catch (error) {
      fleet.leasing -= 1;
      this.deps.metrics.leaseFailures += 1;
      this.leaseFailed(
        fleet,
        error instanceof PlatformError ? error : new PlatformError("INTERNAL", "The lease could not be read.", { cause: error }),
      );
    }
  }

  private adopt(fleet: VersionFleet, lease: Lease): void {
    if (lease.epoch < (this.epochs.get(fleet.functionId) ?? 0))
      throw new PlatformError("UNAVAILABLE", "The lease comes from a deposed owner.");
    this.epochs.set(fleet.functionId, lease.epoch);
    fleet.leaseFailures = 0;
    fleet.lastError = undefined;
    fleet.slotsHint = lease.slots;
    const instance = new Instance(lease, (poisoned) => this.poisoned(fleet, poisoned));
    fleet.instances.push(instance);
    if (instance.coldMs > 0) this.deps.metrics.coldStarts += 1;
    this.scheduleRenew(lease.expiresAt);
    fleet.grantWaiting();
    if (fleet.retired || this.stopped) this.close(fleet, instance, "idle", "");
    else this.demand(fleet);
  }

  /** An error in the user's own code is answered at once; after any other error the lease is asked for again while requests wait. */
  private leaseFailed(fleet: VersionFleet, error: PlatformError): void {
    fleet.lastError = error;
    fleet.leaseFailures += 1;
    this.deps.warn("lease refused", { functionId: fleet.functionId, code: error.code, detail: error.message });
    if (fleet.open === 0 && isFinal(error)) {
      fleet.refusedUntil = performance.now() + GATEWAY_LIMITS.refusalMs;
      fleet.refuseAll(error);
    }
    if (fleet.waiters.size === 0 || fleet.retryTimer !== undefined) return;
    const pause =
      Math.min(GATEWAY_LIMITS.leaseRetryMaxMs, GATEWAY_LIMITS.leaseRetryMinMs * 2 ** Math.min(fleet.leaseFailures, 6)) *
      (0.5 + Math.random() / 2);
    fleet.retryTimer = setTimeout(() => {
      fleet.retryTimer = undefined;
      this.demand(fleet);
    }, pause);
  }

  done(fleet: VersionFleet, instance: Instance): void {
    instance.inFlight -= 1;
    if (fleet.waiters.size > 0) fleet.grantWaiting();
    if (instance.inFlight > 0) return;
    instance.lastUsedAt = performance.now();
    if (instance.closing !== undefined) this.finish(fleet, instance);
    else if (fleet.retired) this.close(fleet, instance, "idle", "");
  }

  close(fleet: VersionFleet, instance: Instance, reason: ReleaseReason, detail: string, graceMs?: number): void {
    if (instance.ended !== undefined) return;
    instance.closing = worse(instance.closing, reason);
    instance.closingDetail ||= detail;
    if (instance.inFlight === 0) return this.finish(fleet, instance);
    if (graceMs !== undefined) instance.grace ??= setTimeout(() => this.finish(fleet, instance), graceMs);
    // The instance's slots are lost, so waiting requests may need another instance.
    this.demand(fleet);
  }

  /** Ends a lease: removes the instance from the list, cuts its connections, and tells the control plane. */
  private finish(fleet: VersionFleet, instance: Instance): void {
    if (!this.forget(fleet, instance, instance.closing ?? "idle")) return;
    const reason = instance.closing ?? "idle";
    const { leaseId } = instance.lease;
    this.release(leaseId, reason, instance.closingDetail, instance.settleEndReason);
  }

  private release(leaseId: string, reason: ReleaseReason, detail: string, tell: (endReason: string) => void = () => {}): void {
    this.deps.control.release({ leases: [{ leaseId, reason, ...(detail === "" ? {} : { detail: detail.slice(0, 500) }) }] }).then(
      (answer) => tell(answer.ended.find((ended) => ended.leaseId === leaseId)?.reason ?? ""),
      (error: unknown) => {
        tell("");
        // This is harmless: the lease runs out by itself, because renewals no longer name it.
        this.deps.warn("release failed", { leaseId, error: error instanceof Error ? error.message : String(error) });
      },
    );
  }

  private forget(fleet: VersionFleet, instance: Instance, why: string): boolean {
    const index = fleet.instances.indexOf(instance);
    if (index === -1) return false;
    fleet.instances.splice(index, 1);
    instance.ended = why;
    instance.destroy();
    this.dropEmpty(fleet);
    this.demand(fleet);
    return true;
  }
  private dropEmpty(fleet: VersionFleet): void {
    if (!fleet.retired || fleet.instances.length > 0 || fleet.waiters.size > 0 || fleet.leasing > 0) return;
    clearTimeout(fleet.retryTimer);
    this.fleets.delete(fleet.versionId);
  }

  private poisoned(fleet: VersionFleet, instance: Instance): void {
    if (instance.ended !== undefined) return;
    this.deps.metrics.poisoned += 1;
    this.close(fleet, instance, "poisoned", "The instance sent bytes that no request asked for.", GATEWAY_LIMITS.lostInstanceGraceMs);
  }

  retireExcept(live: ReadonlySet<string>, functionId: string | undefined): VersionFleet[] {
    const retired: VersionFleet[] = [];
    for (const fleet of this.fleets.values()) {
      if (live.has(fleet.versionId) || (functionId !== undefined && fleet.functionId !== functionId)) continue;
      fleet.retired = true;
      retired.push(fleet);
      for (const instance of fleet.instances.slice()) if (instance.inFlight === 0) this.close(fleet, instance, "idle", "");
      this.dropEmpty(fleet);
    }
    return retired;
  }

  recall(leaseId: string): void {
    this.each((fleet, instance) => {
      if (instance.lease.leaseId === leaseId) this.close(fleet, instance, "recalled", "");
    });
  }
  instanceEnded(id: string, reason: string): void {
    this.each((fleet, instance) => {
      if (instance.lease.instance !== id) return;
      instance.settleEndReason(reason);
      this.forget(fleet, instance, reason);
    });
  }
  private each(visit: (fleet: VersionFleet, instance: Instance) => void): void {
    // Iterates over copies, because visits remove instances and fleets from the lists.
    for (const fleet of Array.from(this.fleets.values())) for (const instance of fleet.instances.slice()) visit(fleet, instance);
  }

  private sweepIdle(): void {
    const now = performance.now();
    this.each((fleet, instance) => {
      if (instance.inFlight === 0 && now - instance.lastUsedAt >= fleet.idleTimeoutMs) this.close(fleet, instance, "idle", "");
    });
  }

  private scheduleRenew(expiresAt: number): void {
    if (this.renewTimer !== undefined || this.stopped) return;
    const pause = Math.max(500, (expiresAt - Date.now()) / 3);
    this.renewTimer = setTimeout(() => this.renewNow(), pause).unref();
  }

  renewNow(): void {
    clearTimeout(this.renewTimer);
    this.renewTimer = undefined;
    const leases: Parameters<ControlClient["renew"]>[0]["leases"] = [];
    this.each((_fleet, { lease, inFlight }) => {
      const { leaseId, instance, functionId, versionId, slots, epoch } = lease;
      leases.push({ leaseId, instance, functionId, versionId, slots, inUse: inFlight, epoch });
    });
    if (leases.length === 0 || this.stopped) return;
    this.deps.control.renew({ leases }).then(
      (answer) => {
        for (const leaseId of answer.lost) this.lost(leaseId);
        this.scheduleRenew(answer.expiresAt);
      },
      (error: unknown) => {
        // While the control plane is silent the leases stay: warm requests go on (DESIGN section 4).
        this.deps.warn("renewal failed", { error: error instanceof Error ? error.message : String(error) });
        this.scheduleRenew(Date.now() + 6_000);
      },
    );
  }
  /** The lease is no longer ours: running requests may end, new ones go to other instances. */
  private lost(leaseId: string): void {
    this.each((fleet, instance) => {
      if (instance.lease.leaseId === leaseId) this.close(fleet, instance, "recalled", "");
    });
  }

  async releaseAll(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.renewTimer);
    clearInterval(this.sweepTimer);
    const leases: { leaseId: string; reason: ReleaseReason }[] = [];
    this.each((fleet, instance) => {
      leases.push({ leaseId: instance.lease.leaseId, reason: instance.closing ?? "drain" });
      this.forget(fleet, instance, "drain");
    });
    if (leases.length > 0)
      await this.deps.control.release({ leases }).catch((error: unknown) => this.deps.warn("release failed", { error: String(error) }));
  }

  counts(): { leases: number; waiting: number } {
    let leases = 0;
    let waiting = 0;
    for (const fleet of this.fleets.values()) {
      leases += fleet.instances.length;
      waiting += fleet.waiters.size;
    }
    return { leases, waiting };
  }
}

const FINAL = new Set(["INIT_FAILED", "NOT_FOUND", "ISOLATION_UNAVAILABLE", "QUOTA_EXCEEDED", "FORBIDDEN", "CONFLICT", "FUNCTION_CRASHED"]);
const isFinal = (error: PlatformError): boolean => FINAL.has(error.code);

const SEVERITY: readonly ReleaseReason[] = ["idle", "drain", "recalled", "broken", "timeout", "poisoned"];
const worse = (known: ReleaseReason | undefined, next: ReleaseReason): ReleaseReason =>
  known !== undefined && SEVERITY.indexOf(known) > SEVERITY.indexOf(next) ? known : next;
