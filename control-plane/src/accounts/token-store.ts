// A tenant's tokens: only hashes are kept, and there are no more than the tenant may have.
import { and, count, eq, gt, isNull, or, sql } from "drizzle-orm";
import type { TenantCaps } from "../contract/tenant-caps.ts";
import { token } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { holdCaps, refuseAbove } from "../functions/caps.ts";
import { notify } from "../functions/notify.ts";

export function createTokenStore(db: TenantDatabase, caps: Pick<TenantCaps, "tokens">) {
  return {
    /** Throws QUOTA_EXCEEDED when the tenant has all it may; those that were revoked or have expired do not count. */
    async create(row: typeof token.$inferInsert): Promise<void> {
      await db.asTenant(row.tenantId, async (tx) => {
        await holdCaps(tx, row.tenantId);
        const valid = or(isNull(token.expiresAt), gt(token.expiresAt, sql`now()`));
        const [held] = await tx
          .select({ n: count() })
          .from(token)
          .where(and(eq(token.tenantId, row.tenantId), isNull(token.revokedAt), valid));
        refuseAbove("tokens", (held?.n ?? 0) + 1, caps.tokens, "Revoke one that is not used: fnctl tokens ls, fnctl tokens revoke.");
        await tx.insert(token).values(row);
        await notify(tx, { kind: "token", id: row.id });
      });
    },
  };
}
export type TokenStore = ReturnType<typeof createTokenStore>;
