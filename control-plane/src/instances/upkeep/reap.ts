// Decides which instances are stopped now. Pure: the state goes in, a list comes out.
import type { Instance } from "../leases/instance-table.ts";
import { LEASE_GRACE_MS } from "../leases/lease-times.ts";

export interface ReapInput {
  instances: readonly Instance[];
  now: number;
  /** How many instances the live version of a function keeps even without requests. */
  minOf(functionId: string, versionId: string): number;
  isLive(functionId: string, versionId: string): boolean;
}

/** Instances whose lease has expired, orphaned ones, and free ones beyond their idle time (only those above `min`, oldest first). */
export function decideReap(input: ReapInput): { instance: Instance; reason: string }[] {
  const out: { instance: Instance; reason: string }[] = [];
  const kept = new Map<string, number>();
  const ready = input.instances.filter((instance) => instance.state === "ready").toSorted((a, b) => b.freeSince - a.freeSince);
  for (const instance of ready) {
    const reason = whyStop(instance, input, kept);
    if (reason === undefined) kept.set(instance.versionId, (kept.get(instance.versionId) ?? 0) + 1);
    else out.push({ instance, reason });
  }
  return out;
}

function whyStop(instance: Instance, input: ReapInput, kept: Map<string, number>): string | undefined {
  const { now } = input;
  if (instance.orphanUntil !== undefined) return now > instance.orphanUntil ? "unclaimed" : undefined;
  if (instance.lease !== undefined) return now > instance.lease.expiresAt + LEASE_GRACE_MS ? "lease-expired" : undefined;
  if (instance.unfit === true) return "isolation-raised";
  if (!input.isLive(instance.functionId, instance.versionId)) return now - instance.freeSince > LEASE_GRACE_MS ? "superseded" : undefined;
  const min = input.minOf(instance.functionId, instance.versionId);
  return now - instance.freeSince > instance.idleTimeoutMs && (kept.get(instance.versionId) ?? 0) >= min ? "idle" : undefined;
}
