// The system users under which the parts run: each has its own uid, so that none can signal, trace or read another (SECURITY I2).
import { readFile } from "node:fs/promises";
import { run } from "./run.ts";

/** Group that may dial sandboxes and the control plane's sockets. */
const DATA_GROUP = "fnctl";
const USERS = {
  postgres: "fnctl-postgres",
  control: "fnctl-control",
  gateway: "fnctl-gateway",
  egress: "fnctl-egress",
  logs: "fnctl-logs",
} as const;
export type ServiceUser = keyof typeof USERS;
export interface Ids {
  uid: number;
  gid: number;
}
export interface Users {
  ids: Record<ServiceUser, Ids>;
  dataGid: number;
  name(user: ServiceUser): string;
}

async function lookUp(file: "/etc/passwd" | "/etc/group", name: string): Promise<string[] | undefined> {
  const lines = (await readFile(file, "utf8")).split("\n");
  return lines.map((line) => line.split(":")).find((fields) => fields[0] === name);
}

async function ensureGroup(name: string): Promise<number> {
  if ((await lookUp("/etc/group", name)) === undefined) await run("groupadd", ["--system", "--force", name]);
  return Number((await lookUp("/etc/group", name))?.[2]);
}

export async function ensureUser(name: string, group: string): Promise<Ids> {
  const gid = await ensureGroup(group);
  if ((await lookUp("/etc/passwd", name)) === undefined) {
    await run("useradd", [
      "--system",
      "--no-create-home",
      "--home-dir",
      "/nonexistent",
      "--shell",
      "/usr/sbin/nologin",
      "--gid",
      group,
      name,
    ]);
  }
  return { uid: Number((await lookUp("/etc/passwd", name))?.[2]), gid };
}

/** Makes users and groups that are missing. */
export async function ensureUsers(): Promise<Users> {
  const dataGid = await ensureGroup(DATA_GROUP);
  const ids = {} as Record<ServiceUser, Ids>;
  for (const [key, name] of Object.entries(USERS)) {
    const shared = key === "control" || key === "gateway";
    ids[key as ServiceUser] = await ensureUser(name, shared ? DATA_GROUP : name);
  }
  return { ids, dataGid, name: (user) => USERS[user] };
}
