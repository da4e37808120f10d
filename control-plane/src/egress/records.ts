// What functions reached, and what they were refused: each tenant's newest records, as egress proxies report them.
import { and, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { EgressRecord } from "../contract/internal.ts";
import { LIMITS } from "../contract/limits.ts";
import { PLATFORM } from "../db/change.ts";
import { egressRecord, fn } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { keepParts } from "./keep-parts.ts";

export interface RecordQuery {
  /** Name of a function; undefined: all. */
  function?: string | undefined;
  /** Only what was refused. */
  refused: boolean;
  /** Records older than the one of this id. */
  before?: string | undefined;
  limit: number;
}

export function createEgressRecords(db: TenantDatabase, onError: (error: unknown) => void, kept: number = LIMITS.egressRecords) {
  /** Those of functions that are gone meanwhile, or that never were the tenant's, are left out. */
  const keepOf = (tenantId: string, records: readonly EgressRecord[]): Promise<void> =>
    db.change({ tenantId, actor: PLATFORM }, "egress.records", async ({ tx }) => {
      const ids = [...new Set(records.map(({ functionId }) => functionId))];
      const own = await tx
        .select({ id: fn.id })
        .from(fn)
        .where(and(eq(fn.tenantId, tenantId), inArray(fn.id, ids)))
        .for("key share");
      const known = new Set(own.map(({ id }) => id));
      const rows = records.filter(({ functionId }) => known.has(functionId)).map((record) => ({ ...record, at: new Date(record.at) }));
      if (rows.length > 0) await tx.insert(egressRecord).values(rows).onConflictDoNothing();
      const oldest = tx
        .select({ id: egressRecord.id })
        .from(egressRecord)
        .where(eq(egressRecord.tenantId, tenantId))
        .orderBy(desc(egressRecord.id))
        .offset(kept)
        .limit(1);
      await tx.delete(egressRecord).where(and(eq(egressRecord.tenantId, tenantId), sql`${egressRecord.id} <= (${oldest})`));
    });
  return {
    /** A report, of any tenants. Throws UNAVAILABLE when the database is away, so that it is sent again. */
    keep: (records: readonly EgressRecord[]): Promise<void> => keepParts(records, keepOf, onError),
    /** The newest first. */
    list: (tenantId: string, query: RecordQuery) =>
      db.read(tenantId, (tx) =>
        tx
          .select({ record: egressRecord, function: fn.name })
          .from(egressRecord)
          .innerJoin(fn, and(eq(fn.tenantId, egressRecord.tenantId), eq(fn.id, egressRecord.functionId)))
          .where(
            and(
              eq(egressRecord.tenantId, tenantId),
              query.function === undefined ? undefined : eq(fn.name, query.function),
              query.refused ? sql`${egressRecord.outcome} LIKE 'FORBIDDEN:%'` : undefined,
              query.before === undefined ? undefined : lt(egressRecord.id, query.before),
            ),
          )
          .orderBy(desc(egressRecord.id))
          .limit(query.limit),
      ),
  };
}
export type EgressRecords = ReturnType<typeof createEgressRecords>;
