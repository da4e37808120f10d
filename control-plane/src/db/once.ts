// Idempotency-Key: the same key and request give the first answer again; the same key with another request is refused (SECURITY Q7). The answer
// is kept in the transaction of the change that it is about: neither is there without the other.
import { and, desc, eq, inArray, lt, or, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { Unit } from "./change.ts";
import { idempotency } from "./schema.ts";

export interface OnceKey {
  key: string;
  /** Of the request: another one with the same key is a mistake. */
  requestHash: string;
}
/** Answers of one tenant that are kept, for a day at most; beyond it the oldest go, or whoever sends a new key each time would fill the disk. */
const MOST_KEPT = 1_000;
const YESTERDAY = sql`now() - interval '1 day'`;
/** The table has a place for a status; an operation has one, which its route knows. */
const STATUS = 200;
/** Locks of keys, apart from all others (PostgreSQL manual, advisory locks: two integers). */
const LOCK_CLASS = 7;

/** Runs `work` once per key; without a key, always. CONFLICT while another request with the key is under way, on whichever control plane. */
export async function once<T>(
  { tx, unchanged }: Pick<Unit, "tx" | "unchanged">,
  tenantId: string,
  asked: OnceKey | undefined,
  work: () => Promise<T>,
  mostKept = MOST_KEPT,
): Promise<T> {
  if (asked === undefined) return work();
  const { key, requestHash } = asked;
  // Not waited for: who waits keeps one of its tenant's connections, and the tenant's other requests behind it.
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
  // Others' rows last, when `work` has taken its locks: before it, two requests could wait for each other.
  const surplus = tx.select({ key: idempotency.key }).from(idempotency).where(theirs).orderBy(desc(idempotency.createdAt)).offset(mostKept);
  await tx.delete(idempotency).where(and(theirs, or(lt(idempotency.createdAt, YESTERDAY), inArray(idempotency.key, surplus))));
  return value;
}
