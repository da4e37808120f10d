// SECURITY F on a real Postgres: what a transaction sees, what belongs to a change, and what a lost connection costs.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createPool } from "./pools.ts";
import * as schema from "./schema.ts";
import { createSystemDatabase } from "./system-database.ts";
import { createTenantStore } from "../accounts/tenant-store.ts";
import { transaction } from "./transaction.ts";
import { PLATFORM, type Change } from "./change.ts";
import { CHANNEL } from "./notify.ts";
import { once } from "./once.ts";
import { createTenantDatabase, type TenantDatabase } from "./tenant-database.ts";
import { by } from "../../../deploy/test/src/build-platform.ts";
import { sql } from "drizzle-orm";
import type { TestPostgres } from "../../../deploy/test/src/test-postgres.ts";
import { A, B, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";

let database: Awaited<ReturnType<typeof openTwoTenants>>;
let postgres: TestPostgres;
let admin: pg.Client;

beforeAll(async () => {
  database = await openTwoTenants();
  ({ postgres, admin } = database);
});
afterAll(() => database.close());

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
  /** Payloads of all notices that arrive while `work` runs. */
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
    let begun = () => {};
    const underWay = new Promise<void>((resolve) => (begun = resolve));
    const first = ask(() => {
      begun();
      return new Promise<void>((resolve) => (go = resolve)).then(make);
    });
    await underWay; // until then another one may be the first
    await expect.poll(() => ask(make).catch((error: unknown) => error), { interval: 20 }).toMatchObject({ code: "CONFLICT" });
    go();
    expect([await first, await ask(make)]).toEqual([{ run: 1 }, { run: 1 }]);
    expect(seen).toHaveLength(1); // an answer from the store makes no change
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
    expect(await db.read(A, (tx) => tx.select().from(schema.fn))).toHaveLength(1); // a later read works, on another connection
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

  test("whose ROLLBACK is not answered is thrown away with what was begun on it", async () => {
    const own = new pg.Pool({ connectionString: postgres.url("app"), max: 1, query_timeout: 300 });
    const midWay = transaction(own, { begin: "BEGIN" }, async (client) => {
      const pid = (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;
      onTestFinished(() => void process.kill(pid, "SIGCONT"));
      process.kill(pid, "SIGSTOP");
      throw new Error("mid-way");
    });
    await expect(midWay).rejects.toThrow("mid-way");
    expect(own.totalCount).toBe(0);
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
