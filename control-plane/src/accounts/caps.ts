// How a tenant's caps are enforced for anything that is counted: inside the transaction that adds to it.
import { sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";

/** Takes the tenant's lock for counting and adding, until the transaction ends. Requests of other tenants do not wait for it. */
export async function lockCaps(tx: TenantTransaction, tenantId: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`fnctl caps ${tenantId}`}, 0))`);
}

/** `use` is what the tenant would have if this request were accepted. */
export function refuseAbove(what: string, use: number, cap: number, hint: string): void {
  if (use > cap) throw new PlatformError("QUOTA_EXCEEDED", `A tenant may have ${cap} ${what}; this would make ${use}.`, { hint });
}
