// The feed's reads of a real Postgres: pages that begin and end where they should, and rows that do not count.
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createPool } from "../db/pools.ts";
import { createSystemDatabase, type SystemDatabase } from "../db/system-database.ts";
import { A, B, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";
import { PAGE_ROWS } from "./page.ts";
import { createHeld } from "./topic.ts";
import { routesTopic } from "./topics/routes.ts";
import { tokensTopic } from "./topics/tokens.ts";

let database: Awaited<ReturnType<typeof openTwoTenants>>;
let pool: pg.Pool;
let system: SystemDatabase;
const COUNT = PAGE_ROWS + 1;

beforeAll(async () => {
  database = await openTwoTenants();
  pool = createPool(database.postgres.url("system"), () => undefined, 4);
  system = createSystemDatabase(pool);
  const config = JSON.stringify({ access: "public", timeoutMs: 1, idleTimeoutMs: 1, concurrency: 1, min: 0, max: 1, memoryMib: 128 });
  for (const tenant of [A, B])
    await database.admin.query(
      `WITH f AS (INSERT INTO function (id, tenant_id, name, runtime)
         SELECT gen_random_uuid(), '${tenant}', 'f-' || n, 'node24' FROM generate_series(1, ${COUNT}) n RETURNING tenant_id, id),
       v AS (INSERT INTO version (id, tenant_id, function_id, number, config, source_digest, state, image_digest)
         SELECT gen_random_uuid(), tenant_id, id, 1, '${config}'::jsonb, d, 'ready', d FROM f, (SELECT 'sha256:' || repeat('0', 64) AS d) digest
         RETURNING tenant_id, function_id, id)
       INSERT INTO alias (tenant_id, function_id, name, version_id) SELECT tenant_id, function_id, 'live', id FROM v`,
    );
  const tokens = (count: number, columns: string, values: string) =>
    database.admin.query(
      `INSERT INTO token (id, tenant_id, name, prefix, hash, scopes${columns}) SELECT gen_random_uuid(), '${A}', 't', 'p',
       sha256(gen_random_uuid()::text::bytea), '{invoke}'${values} FROM generate_series(1, ${count})`,
    );
  await tokens(COUNT, "", "");
  await tokens(3, ", revoked_at", ", now()");
  await tokens(3, ", expires_at", ", now() - interval '1 second'");
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

async function readAll(held: Pick<ReturnType<typeof createHeld>, "readPage">): Promise<number[]> {
  const sizes: number[] = [];
  for (let after: string | undefined, more = true; more; more = after !== undefined) {
    const page = await held.readPage(after);
    sizes.push(page.changes.length);
    after = page.next;
  }
  return sizes;
}

test("all routes of all tenants are read, page by page, and a tenant's alone", async () => {
  const routes = createHeld(routesTopic(system));
  expect(await readAll(routes)).toEqual([PAGE_ROWS, PAGE_ROWS, 2]);
  expect(new Set([...routes.values()].map(({ functionId }) => functionId)).size).toBe(2 * COUNT);
  expect(await readAll(routes)).toEqual([0, 0, 0]); // nothing has changed
  await database.admin.query(`UPDATE tenant SET risk = 'elevated' WHERE id = '${A}'`);
  const changes = await routes.refreshTenant(A);
  expect(changes).toHaveLength(COUNT);
  expect(changes[0]).toMatchObject({ body: { type: "route", route: { tenantId: A, isolation: "kata" } } });
});

test("tokens that were revoked or have expired do not count, and are let go when they are looked at", async () => {
  const tokens = createHeld(tokensTopic(system));
  expect(await readAll(tokens)).toEqual([PAGE_ROWS, 1]);
  const [one] = tokens.values();
  await database.admin.query("UPDATE token SET expires_at = now() WHERE id = $1", [one!.tokenId]);
  expect(await tokens.refresh(one!.tokenId)).toMatchObject([{ body: { type: "token-removed", tokenId: one!.tokenId } }]);
});
