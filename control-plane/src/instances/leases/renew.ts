// A gateway sends the leases that it holds, and is told which it has lost. By the same call it claims instances that were adopted after a
// restart.
import type { z } from "zod";
import type { renewRequestSchema } from "../../contract/internal.ts";
import { LEASE_TTL_MS } from "./lease-times.ts";
import type { InstanceTable } from "./instance-table.ts";

export function renewLeases(table: InstanceTable, request: z.infer<typeof renewRequestSchema>): { expiresAt: number; lost: string[] } {
  const expiresAt = Date.now() + LEASE_TTL_MS;
  const lost: string[] = [];
  for (const { leaseId, instance: id, versionId, inUse, slots } of request.leases) {
    const instance = table.get(id);
    const own = instance?.lease?.leaseId === leaseId && instance.lease.holder === request.holder;
    const claimable = own || instance?.orphanUntil !== undefined;
    if (instance === undefined || instance.state !== "ready" || instance.versionId !== versionId || !claimable) {
      lost.push(leaseId);
      continue;
    }
    instance.inUse = inUse;
    instance.slots = slots;
    if (instance.lease?.leaseId === leaseId) instance.lease.expiresAt = expiresAt;
    else table.lease(instance, { leaseId, holder: request.holder, expiresAt });
    if (instance.unfit === true) lost.push(leaseId); // no new requests; it lives on for its running requests until it is given back
  }
  return { expiresAt, lost };
}
