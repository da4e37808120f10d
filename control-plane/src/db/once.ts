// Idempotency-Key: the same key and request give the first answer again; the same key with another request is refused (SECURITY Q7). The answer
// is kept in the transaction of the change that it is about: neither is there without the other.
import { and, desc, eq, inArray, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import { idempotency } from "./schema.ts";
import type { TenantTransaction } from "./tenant-database.ts";

/** The table has a place for a status; an operation has one, which its route knows. */
const STATUS = 200;

export interface OnceKey {
  key: string;
  /** Of the request: another one with the same key is a mistake. */
  requestHash: string;
}
/** Answers of one tenant that are kept, for a day at most; beyond it the oldest go, or whoever sends a new key each time would fill the disk. */
const MOST_KEPT = 1_000;

/** Runs `work` once per key; without a key, always. Who comes with a key that is under way waits for its end. */
export async function once<T>(
  tx: TenantTransaction,
  tenantId: string,
  asked: OnceKey | undefined,
  work: () => Promise<T>,
  mostKept = MOST_KEPT,
): Promise<T> {
  if (asked === undefined) return work();
  const { key, requestHash } = asked;
  const theirs = eq(idempotency.tenantId, tenantId);
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`fnctl once ${tenantId} ${key}`}, 0))`);
  await tx.delete(idempotency).where(and(theirs, sql`${idempotency.createdAt} < now() - interval '1 day'`));
  const [known] = await tx
    .select()
    .from(idempotency)
    .where(and(theirs, eq(idempotency.key, key)));
  if (known !== undefined) {
    if (known.requestHash !== requestHash)
      throw new PlatformError("IDEMPOTENCY_MISMATCH", "This Idempotency-Key was used for another request.");
    return known.body as T;
  }
  const value = await work();
  await tx.insert(idempotency).values({ tenantId, key, requestHash, status: STATUS, body: value });
  const surplus = tx.select({ key: idempotency.key }).from(idempotency).where(theirs).orderBy(desc(idempotency.createdAt)).offset(mostKept);
  await tx.delete(idempotency).where(and(theirs, inArray(idempotency.key, surplus)));
  return value;
}
