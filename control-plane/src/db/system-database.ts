// The system role: the few reads and writes that stand above tenants, each with a policy of its own (SECURITY F10). Only the token look-up,
// the change feed, the reconciler and the operator's API get it from the composition root.
import { and, eq, gt, isNotNull, isNull, or, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { Scope } from "../contract/resources.ts";
import { PLATFORM, runChange, type Actor, type Change, type OnChange, type Unit } from "./change.ts";
import { egressStatements } from "./egress-statements.ts";
import * as schema from "./schema.ts";
import { isRetryable, mapDatabaseError } from "./sqlstate.ts";
import { ATTEMPTS } from "./tenant-database.ts";
import { transaction } from "./transaction.ts";

const { tenant, token, operatorToken, fn, version, alias } = schema;

/** Where a page of rows begins: after this one. */
export interface PageStart {
  tenantId: string;
  id: string;
}
export interface BuildJob {
  tenantId: string;
  buildId: string;
}
/**
 * Running builds of a tenant as the worker knows them: a tenant that removes a function with its running builds must not be served first
 * for it.
 */
export interface TenantBuilds {
  tenantId: string;
  /** Builds that the worker has in hand, whether their rows still exist or not. */
  running: number;
  /** Time since the tenant last got a builder, milliseconds. */
  agoMs: number;
}
export type NewTenant = typeof tenant.$inferInsert & { token: Omit<typeof token.$inferInsert, "tenantId"> };
export interface TokenOwner {
  tokenId: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  createdAt: Date;
  expiresAt: Date | null;
  /** null: an operator's token. */
  tenantId: string | null;
}

export function createSystemDatabase(pool: pg.Pool, onChange?: OnChange) {
  return guarded(statements(pool, onChange));
}
export type SystemDatabase = ReturnType<typeof createSystemDatabase>;

type Statements = Record<string, (...values: never[]) => PromiseLike<unknown>>;
type Guarded<T extends Statements> = { [K in keyof T]: (...values: Parameters<T[K]>) => Promise<Awaited<ReturnType<T[K]>>> };

/**
 * Each statement is a transaction of its own. It is tried again when the database undid it or when its connection was lost before it could
 * have any effect; a read is tried again in any case. Callers get PlatformErrors only.
 */
function guarded<T extends Statements>(all: T): Guarded<T> {
  const wrap =
    (name: string, statement: (...values: never[]) => PromiseLike<unknown>) =>
    async (...values: never[]): Promise<unknown> => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await statement(...values);
        } catch (error) {
          if (attempt === ATTEMPTS || !isRetryable(error, WRITES.has(name))) throw mapDatabaseError(error);
        }
      }
    };
  return Object.fromEntries(Object.entries(all).map(([name, statement]) => [name, wrap(name, statement)])) as unknown as Guarded<T>;
}
/** Statements that are not tried again after a lost connection: they may have taken effect, or their failure must be known at once. */
const WRITES = new Set([
  "createTenant",
  "createFirstTenant",
  "raiseTenant",
  "setEgressCeiling",
  "takeNextBuild",
  "takeOwnership",
  "renewOwnership",
  "releaseOwnership",
  "keepCondition",
]);

/**
 * Each tenant's builds are taken in the order of acceptance. A build that another transaction is ending is skipped. A function's removal
 * deletes its build rows, so the builds that the worker knows of ($3 to $5) are counted beside the rows.
 */
const TAKE_NEXT_BUILD = `
  WITH waiting AS (
    SELECT DISTINCT tenant_id FROM build WHERE state = 'queued' AND coalesce(retry_at, '-infinity') <= now() AND NOT tenant_id = ANY ($2)
  ), ranked AS (
    SELECT tenant_id,
      greatest((SELECT count(*) FROM build r WHERE r.tenant_id = w.tenant_id AND r.state = 'running'), k.running) AS running,
      greatest((SELECT max(taken_at) FROM build t WHERE t.tenant_id = w.tenant_id), now() - k.ago_ms * interval '1 millisecond') AS served
    FROM waiting w LEFT JOIN unnest($3::uuid[], $4::integer[], $5::float8[]) AS k (tenant_id, running, ago_ms) USING (tenant_id)
  ), next AS (
    SELECT q.tenant_id, q.id FROM ranked
    CROSS JOIN LATERAL (
      SELECT tenant_id, id, created_at FROM build b
      WHERE b.tenant_id = ranked.tenant_id AND state = 'queued' AND coalesce(retry_at, '-infinity') <= now()
      ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) q
    WHERE running < $1 ORDER BY running, served NULLS FIRST, q.created_at LIMIT 1
  )
  UPDATE build SET state = 'running', epoch = epoch + 1, started_at = coalesce(started_at, now()), taken_at = clock_timestamp(), retry_at = NULL
  FROM next WHERE build.tenant_id = next.tenant_id AND build.id = next.id AND build.state = 'queued'
  RETURNING build.tenant_id AS "tenantId", build.id AS "buildId"`;

async function addTenant({ tx, tell }: Unit, { token: first, ...row }: NewTenant) {
  const [made] = await tx.insert(tenant).values(row).onConflictDoNothing({ target: tenant.slug }).returning();
  if (made === undefined) return undefined;
  await tx.insert(token).values({ ...first, tenantId: made.id });
  tell({ kind: "token", id: first.id });
  return made;
}

function statements(pool: pg.Pool, onChange: OnChange | undefined) {
  const db = drizzle(pool, { schema });
  const change = <T>(what: Change, work: (unit: Unit) => Promise<T>): Promise<T> =>
    transaction(pool, { begin: "BEGIN" }, (client) => runChange(drizzle(client, { schema }), what, onChange, work));
  const unexpired = (expires: typeof token.expiresAt | typeof operatorToken.expiresAt) => or(isNull(expires), gt(expires, sql`now()`));

  const liveRows = () =>
    db
      .select({ tenant, fn, version })
      .from(alias)
      .innerJoin(fn, and(eq(fn.tenantId, alias.tenantId), eq(fn.id, alias.functionId), eq(alias.name, "live")))
      .innerJoin(version, and(eq(version.tenantId, alias.tenantId), eq(version.id, alias.versionId)))
      .innerJoin(tenant, eq(tenant.id, alias.tenantId));

  return {
    async tokenByHash(hash: Buffer): Promise<TokenOwner | undefined> {
      const [own] = await db
        .select()
        .from(token)
        .where(and(eq(token.hash, hash), isNull(token.revokedAt), unexpired(token.expiresAt)));
      if (own !== undefined) return { ...own, tokenId: own.id };
      const [operator] = await db
        .select()
        .from(operatorToken)
        .where(and(eq(operatorToken.hash, hash), isNull(operatorToken.revokedAt), unexpired(operatorToken.expiresAt)));
      return operator === undefined ? undefined : { ...operator, tokenId: operator.id, scopes: ["operator"], tenantId: null };
    },
    /** A tenant with its first token. undefined: the slug is taken. */
    createTenant: (wanted: NewTenant, actor: Actor) =>
      change(
        { tenantId: wanted.id, actor, event: "tenant.create" },
        async (unit) => (await addTenant(unit, wanted)) ?? unit.unchanged(undefined),
      ),
    /** The same, with the first operator's token. undefined: there are others. Asked for twice at once or one after the other, it is done once. */
    createFirstTenant: (wanted: NewTenant, operator: typeof operatorToken.$inferInsert) =>
      change({ tenantId: wanted.id, actor: PLATFORM, event: "tenant.create" }, async (unit) => {
        const { tx, unchanged } = unit;
        await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended('fnctl first tenant', 0))`);
        const operators = await tx.select().from(operatorToken);
        if (operators.length === 0) {
          const made = await addTenant(unit, wanted);
          if (made !== undefined) await tx.insert(operatorToken).values(operator);
          return made ?? unchanged(undefined);
        }
        const [known] = await tx
          .select({ tenant })
          .from(token)
          .innerJoin(tenant, eq(tenant.id, token.tenantId))
          .where(and(eq(token.hash, wanted.token.hash), eq(tenant.slug, wanted.slug)));
        return unchanged(operators.some(({ hash }) => hash.equals(operator.hash)) ? known?.tenant : undefined);
      }),
    /** Raises a tenant's risk. undefined: there is no such tenant. */
    raiseTenant: (id: string, actor: Actor) =>
      change({ tenantId: id, actor, event: "tenant.raise" }, async ({ tx, tell, unchanged }) => {
        const [raised] = await tx.update(tenant).set({ risk: "elevated" }).where(eq(tenant.id, id)).returning();
        if (raised === undefined) return unchanged(undefined);
        tell({ kind: "tenant", id });
        return raised;
      }),
    tenantById: async (id: string) => (await db.select().from(tenant).where(eq(tenant.id, id)))[0],
    tenantIds: async () => (await db.select({ id: tenant.id }).from(tenant)).map(({ id }) => id),
    /** Functions with a live version, for the route table, in the order of tenant and id. */
    liveFunctions: (after: PageStart | undefined, most: number) =>
      liveRows()
        .where(after && sql`(${alias.tenantId}, ${alias.functionId}) > (${after.tenantId}::uuid, ${after.id}::uuid)`)
        .orderBy(alias.tenantId, alias.functionId)
        .limit(most),
    liveFunctionsOf: (tenantId: string) => liveRows().where(eq(alias.tenantId, tenantId)),
    liveFunction: async (functionId: string) => (await liveRows().where(eq(fn.id, functionId)))[0],
    /** Tokens that count, in the order of tenant and id. */
    activeTokens: (after: PageStart | undefined, most: number) =>
      db
        .select()
        .from(token)
        .where(
          and(
            after && sql`(${token.tenantId}, ${token.id}) > (${after.tenantId}::uuid, ${after.id}::uuid)`,
            isNull(token.revokedAt),
            unexpired(token.expiresAt),
          ),
        )
        .orderBy(token.tenantId, token.id)
        .limit(most),
    activeToken: async (id: string) =>
      (
        await db
          .select()
          .from(token)
          .where(and(eq(token.id, id), isNull(token.revokedAt), unexpired(token.expiresAt)))
      )[0],
    ...egressStatements(pool, db, change),
    /** A version that may be started, with its tenant and function. */
    readyVersion: async (versionId: string) =>
      (
        await db
          .select({ tenant, fn, version })
          .from(version)
          .innerJoin(fn, and(eq(fn.tenantId, version.tenantId), eq(fn.id, version.functionId)))
          .innerJoin(tenant, eq(tenant.id, version.tenantId))
          .where(and(eq(version.id, versionId), isNotNull(version.imageDigest)))
      )[0],
    /**
     * Takes the next build for the only worker: the oldest one of the tenant with the fewest running builds and, among equals, of the
     * tenant that was served longest ago. Tenants in `barred` and those with `most` running builds wait. undefined: there is no build to
     * take.
     */
    async takeNextBuild(most: number, barred: readonly string[], known: readonly TenantBuilds[] = []): Promise<BuildJob | undefined> {
      const columns = [known.map((one) => one.tenantId), known.map((one) => one.running), known.map((one) => one.agoMs)];
      const { rows } = await pool.query<BuildJob>(TAKE_NEXT_BUILD, [most, barred, ...columns]);
      return rows[0];
    },
    /** Queues builds again that are marked as running and that no worker has in hand any more. */
    async requeueBuilds(inHand: readonly string[]): Promise<void> {
      await pool.query(
        "UPDATE build SET state = 'queued', takeovers = takeovers + 1, retry_at = NULL WHERE state = 'running' AND NOT id = ANY ($1)",
        [inHand],
      );
    },
    async takeOwnership(holder: string, ttlMs: number): Promise<number | undefined> {
      const { rows } = await pool.query<{ epoch: number }>(
        `UPDATE partition_owner SET epoch = epoch + 1, holder = $1, taken_at = now(), expires_at = now() + $2 * interval '1 millisecond'
         WHERE partition = 0 AND (holder IS NULL OR holder = $1 OR expires_at < now()) RETURNING epoch`,
        [holder, ttlMs],
      );
      return rows[0]?.epoch;
    },
    async renewOwnership(epoch: number, ttlMs: number): Promise<boolean> {
      const { rowCount } = await pool.query(
        "UPDATE partition_owner SET expires_at = now() + $2 * interval '1 millisecond' WHERE partition = 0 AND epoch = $1",
        [epoch, ttlMs],
      );
      return rowCount === 1;
    },
    /** The condition that an owner stored for `place`; undefined: there is none yet. */
    async condition(type: string, place: string): Promise<unknown> {
      const { rows } = await pool.query<{ condition: unknown }>("SELECT condition FROM platform_condition WHERE type = $1 AND place = $2", [
        type,
        place,
      ]);
      return rows[0]?.condition;
    },
    /** Stores a condition, unless a newer owner has stored one. */
    async keepCondition({
      type,
      place,
      epoch,
      condition,
    }: {
      type: string;
      place: string;
      epoch: number;
      condition: object;
    }): Promise<void> {
      await pool.query(
        `INSERT INTO platform_condition (type, place, epoch, condition) VALUES ($1, $2, $3, $4)
         ON CONFLICT (type, place) DO UPDATE SET epoch = excluded.epoch, condition = excluded.condition
         WHERE platform_condition.epoch <= excluded.epoch`,
        [type, place, epoch, condition],
      );
    },
    async releaseOwnership(epoch: number): Promise<void> {
      await pool.query("UPDATE partition_owner SET holder = NULL, expires_at = NULL WHERE partition = 0 AND epoch = $1", [epoch]);
    },
  };
}
