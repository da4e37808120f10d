// Starts what the examples need outside: a Postgres server of its own, under a user of its own, that knows nothing of the platform's; an HTTPS API;
// and the DNS server that leads their names there. For trying the platform out.
import { existsSync } from "node:fs";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createAuthority } from "@fnctl/control-plane/service/http/testing/authority";
import type { Prepared } from "../platform.ts";
import { refuseTakenPort } from "../port.ts";
import { connectPatiently } from "../postgres.ts";
import type { Supervisor } from "../processes.ts";
import { run } from "../run.ts";
import type { Settings } from "../settings.ts";
import { ensureUser, type Ids } from "../users.ts";
import { waitForPort } from "../wait.ts";
import { ADDRESS, PORTS, WEATHER } from "./names.ts";

const USER = "fnctl-examples";
/** Longer than a platform that one tries out runs. */
const CERTIFICATE_HOURS = 30 * 24;
const DATABASE = "orders";
/** The password is in the example's fnctl.yaml, too: it opens a database with nothing in it but the example's orders. */
const CREDENTIALS = { role: "orders", password: "orders" };
const POSTGRES_SETTINGS = [`listen_addresses=${ADDRESS}`, `port=${PORTS.postgres}`, "max_connections=60", "shared_buffers=16MB"];

/** The platform's settings with the way to these servers. Throws when the operator's own settings exclude them. */
export function withExampleServers(settings: Settings): Settings {
  if (settings.egress.dns !== undefined || settings.upstreamProxy !== undefined)
    throw new Error("--example-servers has a DNS server of its own: it works without FNCTL_EGRESS_DNS and HTTPS_PROXY only.");
  const functionPrivate = [settings.egress.functionPrivate, `${ADDRESS}/32`].filter(Boolean).join(",");
  return { ...settings, egress: { ...settings.egress, functionPrivate, dns: `${ADDRESS}:${PORTS.dns}` } };
}

/** Returns the PEM of the authority that signed the API's certificate, which is also written to `example-servers/ca.pem` of the state folder. */
export async function startExampleServers(prepared: Prepared, supervisor: Supervisor): Promise<string> {
  for (const port of [PORTS.https, PORTS.postgres]) await refuseTakenPort(`${ADDRESS}:${port}`, "Start without --example-servers.");
  const folder = path.join(prepared.settings.stateDir, "example-servers");
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const ids = await ensureUser(USER, USER);
  const [ca] = await Promise.all([startApi(prepared, supervisor, ids), startPostgres(prepared, supervisor, { folder, ids })]);
  await writeFile(path.join(folder, "ca.pem"), ca);
  return ca;
}

async function startApi({ node, folders }: Prepared, supervisor: Supervisor, ids: Ids): Promise<string> {
  const authority = await createAuthority("example-servers", CERTIFICATE_HOURS);
  const { cert, key } = await authority.issue(WEATHER);
  supervisor.start({
    name: "example-api",
    program: node,
    args: [path.join(folders.state.app, "example-servers.mjs")],
    env: { FNCTL_EXAMPLE_CERT: cert, FNCTL_EXAMPLE_KEY: key },
    ids,
    bindsLowPorts: true,
    logFile: path.join(folders.state.serviceLogs, "example-api.log"),
  });
  await waitForPort(ADDRESS, PORTS.https);
  return authority.ca;
}

async function startPostgres({ postgres, folders }: Prepared, supervisor: Supervisor, { folder, ids }: { folder: string; ids: Ids }) {
  const home = path.join(folder, "postgres");
  await mkdir(home, { recursive: true, mode: 0o700 });
  await chown(home, ids.uid, ids.gid);
  const data = path.join(home, "data");
  const program = (name: string) => path.join(postgres, "native/bin", name);
  if (!existsSync(path.join(data, "PG_VERSION"))) {
    await rm(data, { recursive: true, force: true }); // what a start that was killed left
    const privileges = [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, "--clear-groups"];
    const options = ["-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust", "--no-sync"];
    await run("setpriv", [...privileges, program("initdb"), ...options], { cwd: "/" });
  }
  // Over the socket, whose folder is closed to others, the supervisor is its administrator; by network there is one role, to one database.
  const hba = path.join(folder, "pg_hba.conf");
  await writeFile(hba, `local all postgres trust\nhost ${DATABASE} ${CREDENTIALS.role} 127.0.0.0/8 scram-sha-256\n`);
  supervisor.start({
    name: "example-postgres",
    program: program("postgres"),
    args: ["-D", data, "-k", home, ...[...POSTGRES_SETTINGS, `hba_file=${hba}`].flatMap((setting) => ["-c", setting])],
    env: { LANG: "C.UTF-8" },
    ids,
    logFile: path.join(folders.state.serviceLogs, "example-postgres.log"),
    stopSignal: "SIGINT",
  });
  const admin = await connectPatiently(`postgresql://postgres@${encodeURIComponent(home)}:${PORTS.postgres}/postgres`);
  const { rowCount } = await admin.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
  if (rowCount === 0) await makeDatabase((text) => admin.query(text));
  await admin.end();
}

async function makeDatabase(query: (text: string) => Promise<unknown>): Promise<void> {
  const { role, password } = CREDENTIALS;
  await query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  await query(`CREATE DATABASE ${DATABASE} OWNER ${role}`);
}
