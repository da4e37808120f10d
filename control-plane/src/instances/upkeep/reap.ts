// Which instances are to be stopped now. Pure: a picture in, a list out.
import type { Managed } from "../leases/managed.ts";
import { LEASE_GRACE_MS } from "../leases/lease-times.ts";

export interface ReapInput {
  instances: readonly Managed[];
  now: number;
  /** Instances that the live version of a function keeps although nobody asks. */
  minOf(functionId: string, versionId: string): number;
  isLive(functionId: string, versionId: string): boolean;
}

/** Expired and orphaned ones, and free ones beyond their idle time (above `min`, oldest first). */
export function decideReap(input: ReapInput): { managed: Managed; reason: string }[] {
  const out: { managed: Managed; reason: string }[] = [];
  const kept = new Map<string, number>();
  const ready = input.instances.filter((managed) => managed.state === "ready").toSorted((a, b) => b.freeSince - a.freeSince);
  for (const managed of ready) {
    const reason = whyStop(managed, input, kept);
    if (reason === undefined) kept.set(managed.versionId, (kept.get(managed.versionId) ?? 0) + 1);
    else out.push({ managed, reason });
  }
  return out;
}

function whyStop(managed: Managed, input: ReapInput, kept: Map<string, number>): string | undefined {
  const { now } = input;
  if (managed.orphanUntil !== undefined) return now > managed.orphanUntil ? "unclaimed" : undefined;
  if (managed.lease !== undefined) return now > managed.lease.expiresAt + LEASE_GRACE_MS ? "lease-expired" : undefined;
  if (managed.unfit === true) return "isolation-raised";
  if (!input.isLive(managed.functionId, managed.versionId)) return now - managed.freeSince > LEASE_GRACE_MS ? "superseded" : undefined;
  const min = input.minOf(managed.functionId, managed.versionId);
  return now - managed.freeSince > managed.idleTimeoutMs && (kept.get(managed.versionId) ?? 0) >= min ? "idle" : undefined;
}
