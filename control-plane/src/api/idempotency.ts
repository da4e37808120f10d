// Idempotency-Key: the same key and body give the first answer again; the same key with another body is refused (SECURITY Q7).
import { createHash } from "node:crypto";
import { and, desc, eq, inArray, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import { idempotency } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";

export interface Answer {
  status: number;
  value: unknown;
}

/** Answers of one tenant that are kept; beyond it the oldest go, or whoever sends a new key each time would fill the disk for a day. */
const MOST_KEPT = 1_000;

export function createIdempotency(db: TenantDatabase, mostKept = MOST_KEPT) {
  const inFlight = new Set<string>();
  return {
    /** Runs `work` once per key; without a key, always. Kept for a day, or until so many newer ones are. */
    async once(tenantId: string, key: string | undefined, request: unknown, work: () => Promise<Answer>): Promise<Answer> {
      if (key === undefined) return work();
      if (key.length === 0 || key.length > 255) throw new PlatformError("BAD_REQUEST", "An Idempotency-Key has 1 to 255 characters.");
      const requestHash = createHash("sha256").update(JSON.stringify(request)).digest("hex");
      const own = and(eq(idempotency.tenantId, tenantId), eq(idempotency.key, key));
      const [known] = await db.asTenant(tenantId, async (tx) => {
        await tx
          .delete(idempotency)
          .where(and(eq(idempotency.tenantId, tenantId), sql`${idempotency.createdAt} < now() - interval '1 day'`));
        return tx.select().from(idempotency).where(own);
      });
      if (known !== undefined) {
        if (known.requestHash !== requestHash)
          throw new PlatformError("IDEMPOTENCY_MISMATCH", "This Idempotency-Key was used for another request.");
        return { status: known.status, value: known.body };
      }
      const flight = `${tenantId}/${key}`;
      if (inFlight.has(flight)) throw new PlatformError("CONFLICT", "A request with this Idempotency-Key is under way.");
      inFlight.add(flight);
      try {
        const answer = await work();
        await db.asTenant(tenantId, async (tx) => {
          await tx
            .insert(idempotency)
            .values({ tenantId, key, requestHash, status: answer.status, body: answer.value })
            .onConflictDoNothing();
          const theirs = eq(idempotency.tenantId, tenantId);
          const surplus = tx
            .select({ key: idempotency.key })
            .from(idempotency)
            .where(theirs)
            .orderBy(desc(idempotency.createdAt))
            .offset(mostKept);
          await tx.delete(idempotency).where(and(theirs, inArray(idempotency.key, surplus)));
        });
        return answer;
      } finally {
        inFlight.delete(flight);
      }
    },
  };
}
export type Idempotency = ReturnType<typeof createIdempotency>;
