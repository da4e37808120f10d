// What functions moved through the egress proxies, by days, as the proxies report it: each tells the sum of its day, so a report that comes twice
// counts once.
import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import type { EgressUse } from "../contract/internal.ts";
import { LIMITS } from "../contract/limits.ts";
import { PLATFORM } from "../db/change.ts";
import { egressUsage, fn } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { keepParts } from "./keep-parts.ts";

export interface UsageQuery {
  /** Name of a function; undefined: all. */
  function?: string | undefined;
  /** So many days, today included (UTC). */
  days: number;
}

const DAY_MS = 24 * 3600 * 1000;
const AMOUNTS = ["connections", "bytesUp", "bytesDown", "openMs"] as const;
const total = (name: (typeof AMOUNTS)[number]) => sql<number>`sum(${egressUsage[name]})`.mapWith(Number);

export function createEgressUsage(db: TenantDatabase, onError: (error: unknown) => void, now: () => number = Date.now) {
  const firstOf = (days: number): string => new Date(now() - (days - 1) * DAY_MS).toISOString().slice(0, 10);
  const keepOf = (proxy: string, tenantId: string, uses: readonly EgressUse[]): Promise<void> =>
    db.change({ tenantId, actor: PLATFORM }, "egress.usage", async ({ tx }) => {
      const larger = AMOUNTS.map((name) => [name, sql`greatest(${egressUsage[name]}, excluded.${sql.identifier(egressUsage[name].name)})`]);
      await tx
        .insert(egressUsage)
        .values(uses.map((use) => ({ ...use, proxy })))
        .onConflictDoUpdate({
          target: [egressUsage.tenantId, egressUsage.day, egressUsage.functionId, egressUsage.proxy],
          set: Object.fromEntries(larger) as Record<string, ReturnType<typeof sql>>,
        });
      await tx.delete(egressUsage).where(and(eq(egressUsage.tenantId, tenantId), lt(egressUsage.day, firstOf(LIMITS.egressUsageDays))));
    });
  return {
    /** A report, of any tenants. Throws UNAVAILABLE when the database is away, so that it is sent again. */
    keep: (proxy: string, uses: readonly EgressUse[]): Promise<void> =>
      keepParts(uses, (tenantId, own) => keepOf(proxy, tenantId, own), onError),
    /** By day and function, the newest day first. Functions that are gone have no name, and are one. */
    list: (tenantId: string, { function: name, days }: UsageQuery) =>
      db.read(tenantId, (tx) =>
        tx
          .select({
            day: egressUsage.day,
            function: fn.name,
            connections: total("connections"),
            bytesUp: total("bytesUp"),
            bytesDown: total("bytesDown"),
            openMs: total("openMs"),
          })
          .from(egressUsage)
          .leftJoin(fn, and(eq(fn.tenantId, egressUsage.tenantId), eq(fn.id, egressUsage.functionId)))
          .where(
            and(
              eq(egressUsage.tenantId, tenantId),
              gte(egressUsage.day, firstOf(days)),
              name === undefined ? undefined : eq(fn.name, name),
            ),
          )
          .groupBy(egressUsage.day, fn.name)
          .orderBy(desc(egressUsage.day), fn.name)
          .limit(LIMITS.egressUsageRows),
      ),
  };
}
export type EgressUsage = ReturnType<typeof createEgressUsage>;
