// A tenant's own rules for what its functions may reach. They hold for running functions at once, so they are rows of their own and no part of
// a version.
import { and, asc, count, eq, isNull, sql } from "drizzle-orm";
import { lockCaps, refuseAbove } from "../accounts/caps.ts";
import type { OwnRule } from "../contract/egress-rules.ts";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";
import type { Caller } from "../db/change.ts";
import { egressRule, fn } from "../db/schema.ts";
import type { TenantDatabase, TenantTransaction } from "../db/tenant-database.ts";
import { newId } from "../service/uuid7.ts";

export interface NewOwnRule extends Pick<OwnRule, "action" | "host" | "ports"> {
  /** Name of a function; null: all of the tenant's. */
  function: string | null;
}
export type StoredRule = NewOwnRule & { id: string; createdAt: Date };

export function createOwnRules(db: TenantDatabase) {
  const columns = {
    id: egressRule.id,
    action: egressRule.action,
    host: egressRule.host,
    ports: egressRule.ports,
    function: fn.name,
    createdAt: egressRule.createdAt,
  };
  async function functionIdOf(tx: TenantTransaction, tenantId: string, name: string | null): Promise<string | null> {
    if (name === null) return null;
    const [found] = await tx
      .select({ id: fn.id })
      .from(fn)
      .where(and(eq(fn.tenantId, tenantId), eq(fn.name, name)));
    if (found === undefined) throw new PlatformError("NOT_FOUND", `There is no function ${name}.`);
    return found.id;
  }
  return {
    /** The oldest first. */
    list: (tenantId: string): Promise<StoredRule[]> =>
      db.read(tenantId, (tx) =>
        tx
          .select(columns)
          .from(egressRule)
          .leftJoin(fn, and(eq(fn.tenantId, egressRule.tenantId), eq(fn.id, egressRule.functionId)))
          .where(eq(egressRule.tenantId, tenantId))
          .orderBy(asc(egressRule.id))
          .limit(LIMITS.egressOwnRules),
      ),

    /** Sets a rule; the one of the same target and function, if there is one, is replaced. Throws QUOTA_EXCEEDED, NOT_FOUND, CONFLICT. */
    set: (caller: Caller, wanted: NewOwnRule): Promise<StoredRule> =>
      db.change(caller, "egress.rule", async ({ tx, tell }) => {
        const { tenantId } = caller;
        const { action, host } = wanted;
        await lockCaps(tx, tenantId);
        const functionId = await functionIdOf(tx, tenantId, wanted.function);
        const ofFunction = functionId === null ? isNull(egressRule.functionId) : eq(egressRule.functionId, functionId);
        const sameHost = and(eq(egressRule.tenantId, tenantId), ofFunction, eq(egressRule.host, host));
        await tx.delete(egressRule).where(and(sameHost, isReplaced(wanted)));
        const [refusal] = await tx
          .select({ id: egressRule.id })
          .from(egressRule)
          .where(and(sameHost, sql`${egressRule.ports} = '{}'`));
        if (refusal !== undefined) throw refusedWhole(wanted);
        const [held] = await tx.select({ n: count() }).from(egressRule).where(eq(egressRule.tenantId, tenantId));
        refuseAbove("egress rules of its own", (held?.n ?? 0) + 1, LIMITS.egressOwnRules, "Remove one that is not used: fnctl egress rm.");
        const row = { tenantId, id: newId(), functionId, action, host, ports: wanted.ports, createdAt: new Date() };
        await tx.insert(egressRule).values(row);
        tell({ kind: "egress", id: tenantId });
        return { ...wanted, id: row.id, createdAt: row.createdAt };
      }),

    /** Throws NOT_FOUND. */
    remove: (caller: Caller, id: string): Promise<void> =>
      db.change(caller, "egress.rule", async ({ tx, tell }) => {
        const rows = await tx
          .delete(egressRule)
          .where(and(eq(egressRule.tenantId, caller.tenantId), eq(egressRule.id, id)))
          .returning({ id: egressRule.id });
        if (rows.length === 0) throw new PlatformError("NOT_FOUND", "There is no such rule.");
        tell({ kind: "egress", id: caller.tenantId });
      }),
  };
}
export type OwnRules = ReturnType<typeof createOwnRules>;

/** Rules of the same host and function that a new one takes the place of: of the same ports, or, for one of every port, all of them. */
const isReplaced = ({ ports }: NewOwnRule) => (ports.length === 0 ? sql`true` : eq(egressRule.ports, ports));
/** Nobody opens what was refused on every port by a word about one port. */
const refusedWhole = ({ host, function: name }: NewOwnRule): PlatformError =>
  new PlatformError("CONFLICT", `${host} is denied on every port, which goes before this.`, {
    hint: `Remove that first: fnctl egress rm '${host}'${name === null ? "" : ` --function ${name}`}`,
  });
