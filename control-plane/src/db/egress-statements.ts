// The system role's statements about what tenants' functions may reach (`system-database.ts`).
import { eq, inArray } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { PrivateRange } from "../contract/egress-rules.ts";
import type { Actor, Change, Unit } from "./change.ts";
import * as schema from "./schema.ts";

const { tenant, egressCeiling, egressRule } = schema;
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
});
