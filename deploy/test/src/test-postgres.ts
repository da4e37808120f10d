// Starts a real Postgres for a test: the embedded server, in a temporary folder, on a Unix socket.
import { spawn } from "node:child_process";
import { appendFile, chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { BUILD_QUEUE, BUILD_QUEUE_OPTIONS } from "@fnctl/control-plane/builds/queue";
import { migrate } from "@fnctl/migrations/migrate";
import { ensureRoles, type RoleName } from "@fnctl/migrations/roles";
import { connectPatiently, installPostgres } from "../../single/src/postgres.ts";
import { run } from "../../single/src/run.ts";
import { readSettings } from "../../single/src/settings.ts";
import { ensureUsers } from "../../single/src/users.ts";

const passwords: Record<RoleName, string> = { owner: "owner-test", app: "app-test", system: "system-test", jobs: "jobs-test" };

export interface TestPostgres {
  admin: string;
  /** The administrator's connection over TCP, if the server listens there. */
  tcp: string;
  url(role: RoleName): string;
  migrate(): Promise<string[]>;
  stop(): Promise<void>;
}

/** A TCP address that the server also listens on, and the clients (CIDR) that may connect there with passwords. */
export interface TcpDoor {
  address: string;
  clients: string;
}

/** Starts the server and makes the four roles; the caller runs `migrate`. */
export async function startTestPostgres(door?: TcpDoor): Promise<TestPostgres> {
  const home = await installPostgres(readSettings(process.env).cacheDir);
  const ids = (await ensureUsers()).ids.postgres;
  const folder = await mkdtemp(path.join(os.tmpdir(), "fnctl-pg-"));
  await chown(folder, ids.uid, ids.gid);
  await chmod(folder, 0o711);
  const data = path.join(folder, "data");
  const asUser = (program: string, args: string[]) =>
    run("setpriv", [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, "--clear-groups", path.join(home, "native/bin", program), ...args], {
      cwd: "/",
    });
  await asUser("initdb", ["-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust", "--no-sync"]);
  const port = door === undefined ? 5432 : await freePort(door.address);
  if (door !== undefined) await appendFile(path.join(data, "pg_hba.conf"), `host all all ${door.clients} scram-sha-256\n`);
  const settings = [`listen_addresses=${door?.address ?? ""}`, `port=${port}`, "fsync=off"].flatMap((setting) => ["-c", setting]);
  const server = spawn(path.join(home, "native/bin/postgres"), ["-D", data, "-k", folder, ...settings], {
    ...ids,
    cwd: "/",
    stdio: "ignore",
  });
  const socket = (role: string, database: string) => `postgresql://${role}@${encodeURIComponent(folder)}:${port}/${database}`;
  const first = await connectPatiently(socket("postgres", "postgres"));
  await first.query("CREATE DATABASE fnctl");
  await first.end();
  const admin = socket("postgres", "fnctl");
  const inside = await connectPatiently(admin);
  await ensureRoles(inside, passwords);
  await inside.query("ALTER ROLE postgres PASSWORD 'admin-test'");
  await inside.end();
  const url = (role: RoleName) => socket(`fnctl_${role}`, "fnctl");
  return {
    admin,
    tcp: door === undefined ? "" : `postgresql://postgres:admin-test@${door.address}:${port}/fnctl`,
    url,
    migrate: () =>
      migrate({
        owner: { connectionString: url("owner") },
        folder: path.resolve(import.meta.dirname, "../../../migrations/sql"),
        queues: { [BUILD_QUEUE]: BUILD_QUEUE_OPTIONS },
      }),
    async stop() {
      const ended = new Promise((resolve) => server.on("close", resolve));
      server.kill("SIGINT");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await new Promise((resolve, reject) => server.once("listening", resolve).once("error", reject));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
