// Numbered, forward-only migrations. Many processes may call this at once: an advisory lock lets one through at a time.
import { readFile, readdir } from "node:fs/promises";
import pg from "pg";
import { PgBoss } from "pg-boss";
import { ROLES } from "./roles.ts";

/** Postgres versions that carry the fixes of SECURITY 3.2, as server_version_num. */
const FLOORS = [150_016, 160_012, 170_008, 180_002];
const LOCK = 731001;

export interface MigrateOptions {
  /** Connection of the owner role. */
  owner: pg.ClientConfig;
  /** Folder that holds `NNNN_name.sql`. */
  folder: string;
  /** Queues that the platform uses, with pg-boss's own options. */
  queues: Record<string, Record<string, unknown>>;
}

/** Brings the database to the newest schema; returns the names of the migrations it applied. */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const client = new pg.Client(options.owner);
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    await checkVersion(client);
    const applied = await applyFiles(client, options.folder);
    await prepareQueues(client, options);
    return applied;
  } finally {
    await client.end(); // also drops the advisory lock
  }
}

async function checkVersion(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ v: string }>("SELECT current_setting('server_version_num') AS v");
  const version = Number(rows[0]?.v);
  const major = Math.floor(version / 10_000);
  const floor = FLOORS.find((candidate) => Math.floor(candidate / 10_000) === major) ?? (major > 18 ? 0 : Number.POSITIVE_INFINITY);
  if (version < floor) throw new Error(`Postgres ${version} is below the security floor; use 15.16, 16.12, 17.8, 18.2 or newer.`);
}

async function applyFiles(client: pg.Client, folder: string): Promise<string[]> {
  await client.query("CREATE SCHEMA IF NOT EXISTS fnctl");
  await client.query("SET search_path = fnctl");
  await client.query(`GRANT USAGE ON SCHEMA fnctl TO ${ROLES.app}, ${ROLES.system}`);
  await client.query("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())");
  const known = new Set((await client.query<{ name: string }>("SELECT name FROM migration")).rows.map((row) => row.name));
  const files = (await readdir(folder)).filter((name) => /^\d{4}_[a-z_]+\.sql$/.test(name)).toSorted();
  const fresh = files.filter((name) => !known.has(name));
  for (const name of fresh) await applyOne(client, folder, name);
  return fresh;
}

async function applyOne(client: pg.Client, folder: string, name: string): Promise<void> {
  const sql = await readFile(`${folder}/${name}`, "utf8");
  await client.query("BEGIN");
  try {
    await client.query(sql);
    await client.query("INSERT INTO migration (name) VALUES ($1)", [name]);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw new Error(`migration ${name} failed`, { cause: error });
  }
}

/** The queue's schema is made here, by the owner; at run time the jobs role may change rows but not the schema. */
async function prepareQueues(client: pg.Client, options: MigrateOptions): Promise<void> {
  const boss = new PgBoss({ ...(options.owner as object), supervise: false, schedule: false, max: 2 });
  boss.on("error", () => undefined); // start() rejects with the same error
  await boss.start();
  try {
    for (const [name, settings] of Object.entries(options.queues)) {
      if ((await boss.getQueue(name)) === null) await boss.createQueue(name, settings);
    }
  } finally {
    await boss.stop({ graceful: false });
  }
  await client.query(`GRANT USAGE ON SCHEMA pgboss TO ${ROLES.jobs}`);
  await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgboss TO ${ROLES.jobs}`);
  await client.query(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgboss TO ${ROLES.jobs}`);
}
