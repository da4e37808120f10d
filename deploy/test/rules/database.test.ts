// SECURITY F on a real Postgres: roles, row-level security on every tenant table, migrations that many run at once.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { createPool } from "@fnctl/control-plane/db/pools";
import * as schema from "@fnctl/control-plane/db/schema";
import { createSystemDatabase } from "@fnctl/control-plane/db/system-database";
import { createTenantStore } from "@fnctl/control-plane/accounts/tenant-store";
import { PLATFORM, type Change } from "@fnctl/control-plane/db/change";
import { CHANNEL } from "@fnctl/control-plane/db/notify";
import { once } from "@fnctl/control-plane/db/once";
import { createTenantDatabase, type TenantDatabase } from "@fnctl/control-plane/db/tenant-database";
import { by } from "../src/build-platform.ts";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

const [A, B] = ["01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"];
let postgres: TestPostgres;
let admin: pg.Client;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await Promise.all(Array.from({ length: 20 }, () => postgres.migrate())); // 20 at once, as 20 replicas would
  admin = new pg.Client({ connectionString: postgres.admin, options: "-c search_path=fnctl" });
  await admin.connect();
  for (const [id, slug] of [
    [A, "a-tenant"],
    [B, "b-tenant"],
  ])
    await admin.query("INSERT INTO tenant (id, slug) VALUES ($1, $2)", [id, slug]);
  for (const id of [A, B])
    await admin.query("INSERT INTO function (id, tenant_id, name, runtime) VALUES ($1, $1, 'same-name', 'node24')", [id]);
});
afterAll(async () => {
  await admin.end();
  await postgres.stop();
});

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

const pool = () => createPool(postgres.url("app"), () => undefined, 1);

describe("tenant transactions", () => {
  test("see their own rows only; without a tenant none; and writing for another tenant fails", async () => {
    const own = pool();
    const db = createTenantDatabase(own);
    expect((await db.read(A, (tx) => tx.select().from(schema.fn))).map((row) => row.tenantId)).toEqual([A]);
    expect((await own.query("SELECT * FROM function")).rowCount).toBe(0); // the setting is '' after the transaction, not NULL
    await expect(
      db.change(by(A), "function.live", ({ tx }) => tx.insert(schema.fn).values({ id: B, tenantId: B, name: "stolen", runtime: "node24" })),
    ).rejects.toThrow();
    expect(
      await db.change(by(A), "function.live", ({ tx }) =>
        tx
          .update(schema.fn)
          .set({ name: "renamed" })
          .where(sql`${schema.fn.tenantId} = ${B}`)
          .returning(),
      ),
    ).toEqual([]);
    await own.end();
  });

  test("a connection that comes back from an error shows its next borrower no tenant", async () => {
    const own = pool();
    const db = createTenantDatabase(own);
    await expect(db.read(A, (tx) => tx.execute(sql`SELECT 1/0`))).rejects.toThrow();
    await expect(db.read(A, () => Promise.reject(new Error("mid-way")))).rejects.toThrow("mid-way");
    await expect(db.read(A, (tx) => tx.execute(sql`SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)`))).rejects.toThrow();
    expect((await own.query("SELECT * FROM function")).rowCount).toBe(0);
    expect((await own.query<{ t: string }>("SELECT current_setting('app.tenant', true) AS t")).rows[0]?.t ?? "").toBe("");
    await own.end();
  });
});

test("a tenant whose transactions wait for one another leaves connections to others", async () => {
  const own = createPool(postgres.url("app"), () => undefined, 2);
  const db = createTenantDatabase(own);
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const theirs = Array.from({ length: 5 }, () => db.read(A, () => opened));
  expect((await db.read(B, (tx) => tx.select().from(schema.fn))).map((row) => row.tenantId)).toEqual([B]);
  open();
  await Promise.all(theirs);
  await own.end();
});

describe("a change", () => {
  const nameOf = async () => (await admin.query<{ name: string }>("SELECT name FROM function WHERE tenant_id = $1", [A])).rows[0]?.name;
  /** What is heard of changes while `work` goes on. */
  async function heard(work: () => Promise<unknown>): Promise<string[]> {
    const client = new pg.Client({ connectionString: postgres.url("system") });
    const payloads: string[] = [];
    client.on("notification", ({ payload }) => void payloads.push(payload ?? ""));
    await client.connect();
    await client.query(`LISTEN ${CHANNEL}`);
    await work().catch(() => undefined);
    await client.query("SELECT 1");
    await client.end();
    return payloads;
  }
  const rename = (db: TenantDatabase, name: string) =>
    db.change({ tenantId: A, actor: { kind: "token", tokenId: B } }, "function.live", async ({ tx, tell }) => {
      await tx.update(schema.fn).set({ name });
      tell({ kind: "function", id: A });
    });

  test("is rows, notice and whatever is written of it (an audit log), or nothing", async () => {
    const own = pool();
    const before = await nameOf();
    const seen: Change[] = [];
    const db = createTenantDatabase(own, async (_tx, change) => void seen.push(change));
    expect(await heard(() => rename(db, "changed"))).toEqual([JSON.stringify({ kind: "function", id: A })]);
    expect(await nameOf()).toBe("changed");
    expect(seen).toEqual([{ tenantId: A, actor: { kind: "token", tokenId: B }, event: "function.live" }]);
    const failing = createTenantDatabase(own, () => Promise.reject(new Error("no place in the log")));
    expect(await heard(() => rename(failing, "lost"))).toEqual([]);
    expect(await nameOf()).toBe("changed");
    await rename(db, before ?? "");
    await own.end();
  });
  test("is the only way to write: reading cannot", async () => {
    const own = pool();
    const db = createTenantDatabase(own);
    await expect(db.read(A, (tx) => tx.update(schema.fn).set({ name: "read" }))).rejects.toThrow();
    expect(await nameOf()).not.toBe("read");
    await own.end();
  });
  test("asked for twice with one key is made once; undone, its key is free; at once, the second is told so and waits for nothing", async () => {
    const own = createPool(postgres.url("app"), () => undefined, 4);
    const seen: Change[] = [];
    const db = createTenantDatabase(own, async (_tx, change) => void seen.push(change));
    let runs = 0;
    const ask = (work: () => Promise<object>, requestHash = "one") =>
      db.change(by(A), "version.create", (unit) => once(unit, A, { key: "twice", requestHash }, work));
    await expect(ask(() => Promise.reject(new Error("undone")))).rejects.toThrow("undone");
    const make = async () => ({ run: ++runs });
    let go = () => {};
    const first = ask(() => new Promise<void>((resolve) => (go = resolve)).then(make));
    await expect.poll(() => ask(make).catch((error: unknown) => error), { interval: 20 }).toMatchObject({ code: "CONFLICT" });
    go();
    expect([await first, await ask(make)]).toEqual([{ run: 1 }, { run: 1 }]);
    expect(seen).toHaveLength(1); // an answer that is given again changes nothing
    await expect(ask(make, "another")).rejects.toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
    await own.end();
  });
});

describe("a connection that is lost", () => {
  const onError = () => undefined;
  const kill = (client: { rows: { pid: number }[] }) => admin.query("SELECT pg_terminate_backend($1)", [client.rows[0]?.pid]);
  const ownPid = sql`SELECT pg_backend_pid() AS pid`;
  const two = () => createPool(postgres.url("app"), onError, 2);

  test("inside a transaction costs nobody anything: the work is done again on another one", async () => {
    const own = two();
    const db = createTenantDatabase(own);
    let runs = 0;
    const rows = await db.read(A, async (tx) => {
      const me = await tx.execute<{ pid: number }>(ownPid);
      if (++runs < 3) await kill(me);
      await new Promise((resolve) => setTimeout(resolve, 50)); // the connection ends while no query is on it
      return tx.select().from(schema.fn);
    });
    expect([runs, rows.length]).toEqual([3, 1]);
    await own.end();
  });

  test("again and again, or by a process that ends, is UNAVAILABLE with a hint, and the next request is served", async () => {
    const own = two();
    const db = createTenantDatabase(own);
    const cut = db.read(A, async (tx) => kill(await tx.execute<{ pid: number }>(ownPid)).then(() => tx.execute(sql`SELECT 1`)));
    await expect(cut).rejects.toMatchObject({ code: "UNAVAILABLE", hint: expect.any(String) });
    expect(await db.read(A, (tx) => tx.select().from(schema.fn))).toHaveLength(1);
    await own.end();
  });

  test("to a server that stands still is given up, and is UNAVAILABLE without another try", async () => {
    const own = createPool(postgres.url("app"), onError, 1);
    const db = createTenantDatabase(own);
    const pids: number[] = [];
    const mute = db.read(A, async (tx) => {
      const [pid = 0] = (await tx.execute<{ pid: number }>(ownPid)).rows.map((row) => row.pid);
      pids.push(pid);
      onTestFinished(() => void process.kill(pid, "SIGCONT"));
      process.kill(pid, "SIGSTOP");
      await tx.select().from(schema.fn);
    });
    await expect(mute).rejects.toMatchObject({ code: "UNAVAILABLE", hint: expect.any(String) });
    expect(pids).toHaveLength(1);
    expect(await db.read(A, (tx) => tx.select().from(schema.fn))).toHaveLength(1); // on another connection
    await own.end();
  });

  test("while it commits is not tried again: nobody knows whether it was done", async () => {
    const own = two();
    const db = createTenantDatabase(own);
    let runs = 0;
    await admin.query(
      "CREATE OR REPLACE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END'",
    );
    await admin.query(
      "CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON function DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow_commit()",
    );
    const change = db.change(by(A), "function.live", async ({ tx }) => {
      runs++;
      const me = await tx.execute<{ pid: number }>(ownPid);
      await tx.update(schema.fn).set({ runtime: "node24" });
      setTimeout(() => void kill(me), 100);
    });
    await expect(change).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await admin.query("DROP TRIGGER slow_commit ON function");
    expect(runs).toBe(1);
    await own.end();
  });

  test("in a change by the system role is not kept, and lets nobody into what it began", async () => {
    const own = createPool(postgres.url("system"), onError, 1);
    const system = createSystemDatabase(own);
    const before = await system.tenantIds();
    await admin.query("BEGIN");
    await admin.query("LOCK TABLE tenant IN ACCESS EXCLUSIVE MODE");
    const made = createTenantStore(system).create({ slug: "made-while-cut", risk: "standard", tokenName: "first" }, PLATFORM);
    const failed = made.then(
      () => undefined,
      (error: unknown) => error,
    );
    const stuck = "SELECT pid FROM pg_stat_activity WHERE usename = 'fnctl_system' AND wait_event_type = 'Lock'";
    const watcher = new pg.Client({ connectionString: postgres.admin });
    await watcher.connect();
    await expect.poll(async () => (await watcher.query(stuck)).rowCount).toBe(1);
    await watcher.query(`SELECT pg_terminate_backend(pid) FROM (${stuck}) AS s`);
    await watcher.end();
    expect(await failed).toMatchObject({ code: "UNAVAILABLE" });
    await admin.query("ROLLBACK");
    expect([own.totalCount, own.waitingCount]).toEqual([0, 0]);
    expect(await system.tenantIds()).toEqual(before);
    await own.end();
  });

  test("of the system role's too: reads are done again, and a database that is away is UNAVAILABLE", async () => {
    const own = createPool(postgres.url("system"), onError, 2);
    const system = createSystemDatabase(own);
    expect(await system.tenantById(A)).toMatchObject({ id: A });
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fnctl_system'");
    expect(await system.tenantById(A)).toMatchObject({ id: A });
    const nowhere = createSystemDatabase(createPool("postgresql://nobody@%2Fnonexistent:5432/none", onError, 1));
    await expect(nowhere.tokenByHash(Buffer.alloc(32))).rejects.toMatchObject({ code: "UNAVAILABLE", hint: expect.any(String) });
    await own.end();
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
      () => db.change(by(A), "function.live", ({ tx }) => tx.insert(schema.fn).values({ ...value, name: CANARY })), // its id exists
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
    expect(said(errors[1])).toContain("23514"); // where to look is said
    expect(said(errors[1])).toContain("database.test.ts");
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
