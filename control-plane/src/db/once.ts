// Idempotency-Key: the same key and request give the first answer again; the same key with another request is refused (SECURITY Q7). The
// answer is stored in the same transaction as the change, so neither exists without the other.
import { and, desc, eq, inArray, lt, or, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { Unit } from "./change.ts";
import { idempotency } from "./schema.ts";

export interface OnceKey {
  key: string;
  /** Hash of the request; a different request with the same key is an error of the client. */
  requestHash: string;
}
/**
 * Answers of one tenant that are kept, for a day at most; above it the oldest are removed, because a client that sends a new key each time
 * would fill the disk.
 */
const MOST_KEPT = 1_000;
const YESTERDAY = sql`now() - interval '1 day'`;
/** The table's status column is always filled with this, because each route has only one status for success. */
const STATUS = 200;
/**
 * First number of the advisory locks for keys, which keeps them apart from all other locks (PostgreSQL manual, advisory locks: two
 * integers).
 */
const LOCK_CLASS = 7;

/**
 * Runs `work` once per key; without a key, always. CONFLICT while another request with the key is under way in any control plane process.
 */
export async function once<T>(
  { tx, unchanged }: Pick<Unit, "tx" | "unchanged">,
  tenantId: string,
  asked: OnceKey | undefined,
  work: () => Promise<T>,
  mostKept = MOST_KEPT,
): Promise<T> {
  if (asked === undefined) return work();
  const { key, requestHash } = asked;
  // The lock is not waited for: a waiting request would hold one of its tenant's connections and delay the tenant's other requests.
  const { rows } = await tx.execute<{ free: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(${LOCK_CLASS}, hashtext(${`${tenantId} ${key}`})) AS free`,
  );
  if (rows[0]?.free !== true) throw new PlatformError("CONFLICT", "A request with this Idempotency-Key is under way.");
  const theirs = eq(idempotency.tenantId, tenantId);
  const own = and(theirs, eq(idempotency.key, key));
  await tx.delete(idempotency).where(and(own, lt(idempotency.createdAt, YESTERDAY)));
  const [known] = await tx.select().from(idempotency).where(own);
  if (known !== undefined) {
    if (known.requestHash !== requestHash)
      throw new PlatformError("IDEMPOTENCY_MISMATCH", "This Idempotency-Key was used for another request.");
    return unchanged(known.body as T);
  }
  const value = await work();
  await tx.insert(idempotency).values({ tenantId, key, requestHash, status: STATUS, body: value });
  // Rows of other keys are deleted last, after `work` has taken its locks: deleted before it, two requests could wait for each other.
  const surplus = tx.select({ key: idempotency.key }).from(idempotency).where(theirs).orderBy(desc(idempotency.createdAt)).offset(mostKept);
  await tx.delete(idempotency).where(and(theirs, or(lt(idempotency.createdAt, YESTERDAY), inArray(idempotency.key, surplus))));
  return value;
}
