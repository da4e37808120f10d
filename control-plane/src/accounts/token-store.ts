// A tenant's tokens: only hashes are kept, and a tenant has no more tokens than its cap allows.
import { and, asc, count, eq, gt, isNull, or, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { Scope } from "../contract/resources.ts";
import type { TenantCaps } from "../contract/tenant-caps.ts";
import type { Caller } from "../db/change.ts";
import { token } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { newId } from "../service/uuid7.ts";
import { lockCaps, refuseAbove } from "./caps.ts";
import { createToken, type FreshToken } from "./token.ts";

/** Tokens that a list shows; a tenant may have fewer. */
const LISTED = 1_000;

export interface NewToken {
  name: string;
  scopes: Scope[];
  /** null: the token never expires. */
  expiresAt: Date | null;
}
/** A new token: the row to store, which holds only the hash, and the secret, which is returned once and never stored. */
export function freshToken({ name, scopes, expiresAt }: NewToken, { secret, prefix, hash }: FreshToken = createToken()) {
  return { secret, row: { id: newId(), name, prefix, hash, scopes, expiresAt, createdAt: new Date() } };
}

export function createTokenStore(db: TenantDatabase, caps: Pick<TenantCaps, "tokens">) {
  return {
    /** Tokens that were not revoked, the oldest first. */
    list: (tenantId: string) =>
      db.read(tenantId, (tx) =>
        tx
          .select()
          .from(token)
          .where(and(eq(token.tenantId, tenantId), isNull(token.revokedAt)))
          .orderBy(asc(token.createdAt))
          .limit(LISTED),
      ),

    /** Throws QUOTA_EXCEEDED when the tenant has as many tokens as it may; revoked and expired tokens do not count. */
    async create(caller: Caller, wanted: NewToken): Promise<ReturnType<typeof freshToken>> {
      const fresh = freshToken(wanted);
      const { tenantId } = caller;
      await db.change(caller, "token.create", async ({ tx, tell }) => {
        await lockCaps(tx, tenantId);
        const valid = or(isNull(token.expiresAt), gt(token.expiresAt, sql`now()`));
        const [held] = await tx
          .select({ n: count() })
          .from(token)
          .where(and(eq(token.tenantId, tenantId), isNull(token.revokedAt), valid));
        refuseAbove("tokens", (held?.n ?? 0) + 1, caps.tokens, "Revoke one that is not used: fnctl tokens ls, fnctl tokens revoke.");
        await tx.insert(token).values({ ...fresh.row, tenantId });
        tell({ kind: "token", id: fresh.row.id });
      });
      return fresh;
    },

    /** Throws NOT_FOUND, also for a token that was revoked before. */
    async revoke(caller: Caller, id: string): Promise<void> {
      await db.change(caller, "token.revoke", async ({ tx, tell }) => {
        const rows = await tx
          .update(token)
          .set({ revokedAt: sql`now()` })
          .where(and(eq(token.tenantId, caller.tenantId), eq(token.id, id), isNull(token.revokedAt)))
          .returning({ id: token.id });
        if (rows.length === 0) throw new PlatformError("NOT_FOUND", "There is no such token.");
        tell({ kind: "token", id });
      });
    },
  };
}
export type TokenStore = ReturnType<typeof createTokenStore>;
