// The system role's statements about what tenants' functions may reach (`system-database.ts`).
import { and, eq, inArray, isNotNull, or, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { EgressConfig, PrivateRange } from "../contract/egress-rules.ts";
import type { Actor, Change, Unit } from "./change.ts";
import * as schema from "./schema.ts";
import type { PageStart } from "./system-database.ts";

const { alias, build, tenant, egressCeiling, egressRule, version } = schema;
/** Below every id that there is. */
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

export const egressStatements = (
  pool: pg.Pool,
  db: NodePgDatabase<typeof schema>,
  change: <T>(what: Change, work: (unit: Unit) => Promise<T>) => Promise<T>,
) => ({
  /** Tenants of whom something is said of what their functions may reach, in order. */
  async egressTenants(after: string | undefined, most: number): Promise<string[]> {
    const { rows } = await pool.query<{ id: string }>(
      `SELECT tenant_id AS id FROM egress_rule WHERE tenant_id > $1 UNION SELECT tenant_id FROM egress_ceiling WHERE tenant_id > $1
       ORDER BY id LIMIT $2`,
      [after ?? FIRST_ID, most],
    );
    return rows.map(({ id }) => id);
  },
  egressCeilingOf: async (tenantId: string) =>
    (await db.select().from(egressCeiling).where(eq(egressCeiling.tenantId, tenantId)))[0]?.private ?? [],
  /** False: there is no such tenant. */
  setEgressCeiling: (tenantId: string, ranges: PrivateRange[], actor: Actor) =>
    change({ tenantId, actor, event: "egress.ceiling" }, async ({ tx, tell, unchanged }) => {
      const [known] = await tx.select({ id: tenant.id }).from(tenant).where(eq(tenant.id, tenantId));
      if (known === undefined) return unchanged(false);
      const row = { tenantId, private: ranges };
      await tx.insert(egressCeiling).values(row).onConflictDoUpdate({ target: egressCeiling.tenantId, set: row });
      tell({ kind: "egress", id: tenantId });
      return true;
    }),
  /** Of these tenants: the rules in their order, and what operators opened. */
  egressRulesOf: (tenantIds: string[]) =>
    db.select().from(egressRule).where(inArray(egressRule.tenantId, tenantIds)).orderBy(egressRule.id),
  egressCeilingsOf: (tenantIds: string[]) => db.select().from(egressCeiling).where(inArray(egressCeiling.tenantId, tenantIds)),
  /** Versions that are live, or tried before they are, and have rules of their own, in the order of tenant and id: as many as functions. */
  versionsWithRules: (after: PageStart | undefined, most: number) =>
    db
      .select(RULES)
      .from(version)
      .where(and(HAS_RULES, after && sql`(${version.tenantId}, ${version.id}) > (${after.tenantId}::uuid, ${after.id}::uuid)`))
      .orderBy(version.tenantId, version.id)
      .limit(most),
  versionWithRules: async (id: string) =>
    (
      await db
        .select(RULES)
        .from(version)
        .where(and(HAS_RULES, eq(version.id, id)))
    )[0],
});

const RULES = { tenantId: version.tenantId, id: version.id, egress: sql<EgressConfig>`${version.config}->'egress'` };
const IS_LIVE = sql`EXISTS (SELECT FROM ${alias} WHERE ${alias.tenantId} = ${version.tenantId} AND ${alias.versionId} = ${version.id})`;
const IS_TRIED = sql`EXISTS (SELECT FROM ${build} WHERE ${build.tenantId} = ${version.tenantId} AND ${build.versionId} = ${version.id} AND ${build.endedAt} IS NULL)`;
const HAS_RULES = and(isNotNull(version.imageDigest), sql`${version.config}->'egress' IS NOT NULL`, or(IS_LIVE, IS_TRIED));
