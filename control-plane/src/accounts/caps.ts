// How a tenant's caps are held, whatever is counted: in the transaction that adds.
import { sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";

/** Whoever counts and adds holds this until its transaction ends. Another tenant's requests wait for nothing. */
export async function holdCaps(tx: TenantTransaction, tenantId: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`fnctl caps ${tenantId}`}, 0))`);
}

/** `use` includes what is asked for. */
export function refuseAbove(what: string, use: number, cap: number, hint: string): void {
  if (use > cap) throw new PlatformError("QUOTA_EXCEEDED", `A tenant may have ${cap} ${what}; this would make ${use}.`, { hint });
}
