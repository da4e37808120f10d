// A gateway says what it holds, and is told what it has lost. What nobody holds since this process began is claimed by saying so.
import type { z } from "zod";
import type { renewRequestSchema } from "../../contract/internal.ts";
import { LEASE_TTL_MS } from "./lease-times.ts";
import type { InstanceTable } from "./managed.ts";

export function renewLeases(table: InstanceTable, request: z.infer<typeof renewRequestSchema>): { expiresAt: number; lost: string[] } {
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
}
