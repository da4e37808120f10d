// SECURITY F on a real Postgres: roles, row-level security on every tenant table, migrations that several processes run at once, and what
// errors of failed statements show.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PlatformError } from "../contract/errors.ts";
import { createPool } from "./pools.ts";
import * as schema from "./schema.ts";
import { createTenantDatabase } from "./tenant-database.ts";
import { by } from "../../../deploy/test/src/build-platform.ts";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
import type { TestPostgres } from "../../../deploy/test/src/test-postgres.ts";
import { A, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";

let database: Awaited<ReturnType<typeof openTwoTenants>>;
let postgres: TestPostgres;
let admin: pg.Client;

beforeAll(async () => {
  database = await openTwoTenants();
  ({ postgres, admin } = database);
});
afterAll(() => database.close());

describe("migrations", () => {
  test("each was applied once, though 20 ran at the same time", async () => {
    const { rows } = await admin.query<{ name: string; n: string }>(
      "SELECT name, count(*) AS n FROM migration GROUP BY name ORDER BY name",
    );
    expect(rows.length).toBeGreaterThanOrEqual(3);
    expect(rows.every((row) => row.n === "1")).toBe(true);
    expect(await postgres.migrate()).toEqual([]);
  });

  test("migrations/schema.sql shows the schema that results", async () => {
    const file = path.resolve(import.meta.dirname, "../../../migrations/schema.sql");
    const text = await dumpSchema();
    if (process.env["FNCTL_UPDATE"] === "1") await writeFile(file, text);
    expect(await readFile(file, "utf8"), "run FNCTL_UPDATE=1 npm test to write it anew").toBe(text);
  });
});

describe("the catalogue", () => {
  test("every tenant table enables and forces row-level security, with a policy for the app role", async () => {
    const { rows } = await admin.query<{ relname: string; relrowsecurity: boolean; relforcerowsecurity: boolean; policies: string }>(`
      SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
        (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND 'fnctl_app'::regrole = ANY (p.polroles)) AS policies
      FROM pg_class c WHERE c.relnamespace = 'fnctl'::regnamespace AND c.relkind = 'r'
        AND (c.relname = 'tenant' OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'))`);
    expect(rows.length).toBeGreaterThanOrEqual(10);
    for (const row of rows) expect(row, row.relname).toMatchObject({ relrowsecurity: true, relforcerowsecurity: true, policies: "1" });
  });

  test("tables without a tenant are closed to the app role", async () => {
    const { rows } = await admin.query<{ relname: string; open: boolean }>(`
      SELECT c.relname, has_table_privilege('fnctl_app', c.oid, 'SELECT,INSERT,UPDATE,DELETE') AS open
      FROM pg_class c WHERE c.relnamespace = 'fnctl'::regnamespace AND c.relkind = 'r' AND c.relname <> 'tenant'
        AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')`);
    expect(rows.map((row) => row.relname).toSorted()).toEqual(["migration", "operator_token", "partition_owner", "platform_condition"]);
    expect(rows.some((row) => row.open)).toBe(false);
  });

  test("unique keys of tenant tables begin with the tenant", async () => {
    const { rows } = await admin.query<{ relname: string; first: string }>(`
      SELECT c.relname, a.attname AS first FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
      WHERE i.indisunique AND c.relnamespace = 'fnctl'::regnamespace
        AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')`);
    for (const row of rows) expect(row.first, row.relname).toBe("tenant_id");
  });

  test("no role is a superuser or passes by row-level security, and the app role owns nothing", async () => {
    const { rows } = await admin.query<{ rolname: string; rolsuper: boolean; rolbypassrls: boolean; owned: string }>(`
      SELECT rolname, rolsuper, rolbypassrls, (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owned FROM pg_roles r WHERE rolname LIKE 'fnctl\\_%'`);
    expect(rows).toHaveLength(4);
    for (const row of rows) expect(row, row.rolname).toMatchObject({ rolsuper: false, rolbypassrls: false });
    expect(rows.find((row) => row.rolname === "fnctl_app")?.owned).toBe("0");
  });

  test("the jobs role sees the queue and nothing else", async () => {
    const client = new pg.Client({ connectionString: postgres.url("jobs") });
    await client.connect();
    await expect(client.query("SELECT * FROM fnctl.build")).rejects.toMatchObject({ code: "42501" });
    await expect(client.query("SELECT count(*) FROM pgboss.job")).resolves.toBeDefined();
    await expect(client.query("CREATE TABLE pgboss.mine (x int)")).rejects.toMatchObject({ code: "42501" });
    await client.end();
  });

  test("drizzle's tables have the columns of the database", async () => {
    for (const table of Object.values(schema).filter((value) => value instanceof PgTable)) {
      const config = getTableConfig(table);
      const { rows } = await admin.query<{ column_name: string }>(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'fnctl' AND table_name = $1",
        [config.name],
      );
      expect(config.columns.map((column) => column.name).toSorted(), config.name).toEqual(rows.map((row) => row.column_name).toSorted());
    }
  });
});

describe("what is said of a statement that fails", () => {
  const CANARY = "canary-5f0c1d";
  const said = (error: unknown): string => inspect(error, { depth: 10, showHidden: true });

  test("holds none of its values, and a text that cannot be stored is the caller's mistake", async () => {
    const own = createPool(postgres.url("app"), () => undefined, 1);
    const db = createTenantDatabase(own);
    const value = { id: A, tenantId: A, name: "x", runtime: "node24" } as const;
    const failing = [
      () => db.change(by(A), "function.live", ({ tx }) => tx.insert(schema.fn).values({ ...value, name: `${CANARY}\u0000` })),
      () =>
        db.change(by(A), "function.live", ({ tx }) =>
          tx.insert(schema.fn).values({ ...value, id: crypto.randomUUID(), name: `UPPER ${CANARY}` }),
        ),
      () => db.read(A, (tx) => tx.execute(sql`SELECT ${CANARY}::int`)),
      // The id in `value` exists already.
      () => db.change(by(A), "function.live", ({ tx }) => tx.insert(schema.fn).values({ ...value, name: CANARY })),
    ];
    const errors = await Promise.all(
      failing.map((run) =>
        run().then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    expect(errors.map((error) => error instanceof PlatformError && error.code)).toEqual(["BAD_REQUEST", false, false, "CONFLICT"]);
    for (const error of errors) expect(said(error)).not.toContain(CANARY);
    expect(said(errors[1])).toContain("23514"); // the error says where to look
    expect(said(errors[1])).toContain("catalogue.test.ts");
    await own.end();
  });
});

/** Tables, policies and grants as text, in a stable order. */
async function dumpSchema(): Promise<string> {
  const columns = await admin.query<{ line: string }>(`
    SELECT format('%s.%s %s%s%s', table_name, column_name, data_type, CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END, coalesce(' default ' || column_default, '')) AS line
    FROM information_schema.columns WHERE table_schema = 'fnctl' ORDER BY table_name, ordinal_position`);
  const constraints = await admin.query<{ line: string }>(`
    SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) AS line FROM pg_constraint WHERE connamespace = 'fnctl'::regnamespace AND contype <> 'n' ORDER BY 1`);
  const policies = await admin.query<{ line: string }>(`
    SELECT format('%s: %s for %s to %s using (%s) check (%s)', tablename, policyname, cmd, roles, qual, with_check) AS line FROM pg_policies WHERE schemaname = 'fnctl' ORDER BY 1`);
  const grants = await admin.query<{ line: string }>(`
    SELECT format('%s: %s to %s', table_name, string_agg(privilege_type, ', ' ORDER BY privilege_type), grantee) AS line
    FROM information_schema.role_table_grants WHERE table_schema = 'fnctl' AND grantee <> 'fnctl_owner' GROUP BY table_name, grantee ORDER BY 1`);
  const section = (title: string, rows: { line: string }[]) => `-- ${title}\n${rows.map((row) => row.line).join("\n")}\n`;
  return [
    section("columns", columns.rows),
    section("constraints", constraints.rows),
    section("policies", policies.rows),
    section("grants", grants.rows),
  ].join("\n");
}
