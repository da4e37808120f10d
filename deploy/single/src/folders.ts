// Every folder of a platform, with its owner and mode.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Settings } from "./settings.ts";
import type { ServiceUser, Users } from "./users.ts";

async function folder(where: string, mode: number, uid = 0, gid = 0): Promise<string> {
  await mkdir(where, { recursive: true });
  await chown(where, uid, gid);
  await chmod(where, mode);
  return where;
}

export type Folders = Awaited<ReturnType<typeof prepareFolders>>;

/** Makes the folders, and gives each service its own copy of the secret they share. */
export async function prepareFolders(settings: Settings, users: Users) {
  const { stateDir, runDir } = settings;
  const own = (user: ServiceUser) => [users.ids[user].uid, users.ids[user].gid] as const;
  await folder("/run/fnctl", 0o711);
  await folder(stateDir, 0o711);
  await folder(runDir, 0o711);
  const state = {
    app: await folder(path.join(stateDir, "app"), 0o755),
    postgres: await folder(path.join(stateDir, "postgres"), 0o700, ...own("postgres")),
    images: await folder(path.join(stateDir, "images"), 0o700, ...own("control")),
    layers: await folder(path.join(stateDir, "layers"), 0o700, ...own("control")),
    spool: await folder(path.join(stateDir, "spool"), 0o700, ...own("control")),
    bases: await folder(path.join(stateDir, "bases"), 0o711),
    logs: await folder(path.join(stateDir, "logs"), 0o700, ...own("logs")),
    accessLog: await folder(path.join(stateDir, "access-log"), 0o700, ...own("gateway")),
    /** Files that the supervisor writes and the services read; no service may write here. */
    config: await folder(path.join(stateDir, "config"), 0o755),
    secrets: await folder(path.join(stateDir, "secrets"), 0o700),
    serviceLogs: await folder(path.join(stateDir, "service-logs"), 0o700),
  };
  const sgid = 0o2750; // files made inside get the group that may connect
  const runFolders = {
    postgres: await folder(path.join(runDir, "pg"), 0o711, ...own("postgres")),
    driver: await folder(path.join(runDir, "driver"), 0o711),
    control: await folder(path.join(runDir, "control"), 0o750, users.ids.control.uid, users.dataGid),
    egressFeed: await folder(path.join(runDir, "feed"), sgid, users.ids.control.uid, users.ids.egress.gid),
    calls: await folder(path.join(runDir, "calls"), sgid, users.ids.gateway.uid, users.ids.egress.gid),
    gateway: await folder(path.join(runDir, "gateway"), 0o750, ...own("gateway")),
    egress: await folder(path.join(runDir, "egress"), sgid, users.ids.egress.uid, users.dataGid),
    egressSources: await folder(path.join(runDir, "egress-i"), 0o711, ...own("egress")),
    collector: await folder(path.join(runDir, "collector"), sgid, users.ids.logs.uid, users.dataGid),
    secrets: await folder(path.join(runDir, "secrets"), 0o711),
    logPipes: await folder(path.join(runDir, "l"), 0o750, 0, users.ids.logs.gid),
  };
  const secret = await keepSecret(path.join(state.secrets, "internal"));
  const secretFile = async (user: ServiceUser) => {
    const file = path.join(runFolders.secrets, user);
    await writeFile(file, secret, { mode: 0o400 });
    await chown(file, ...own(user));
    return file;
  };
  const secretFiles = { control: await secretFile("control"), gateway: await secretFile("gateway"), egress: await secretFile("egress") };
  return { state, run: runFolders, secret, secretFiles };
}

async function keepSecret(file: string): Promise<string> {
  if (existsSync(file)) return readFile(file, "utf8");
  const secret = randomBytes(32).toString("base64url");
  await writeFile(file, secret, { mode: 0o600, flag: "wx" });
  return secret;
}
