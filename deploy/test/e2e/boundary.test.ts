// The boundary on the host: only one small process is root, each part has its own uid, and an instance leaves nothing behind (SECURITY I2).
import { execFile } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { api, stateDir } from "./api.ts";
import { cgroupOf } from "./cgroups.ts";
import { deployFixture } from "./fixture.ts";
import { commandLine, instancesOf, mark, pidOf, runDir, uidOf } from "./processes.ts";

const run = promisify(execFile);
const PARTS = ["gateway", "control-plane", "egress", "log-collector", "postgres"];
const status = (pid: number): string => readFileSync(`/proc/${pid}/status`, "utf8");

/** Connects to a Unix socket as another user, with no group but its own; returns the error's code. */
async function dialAs(uid: number, gid: number, socket: string): Promise<string> {
  const script = `require("node:net").connect(process.argv[1]).on("connect", () => process.exit(0)).on("error", (e) => { console.log(e.code); process.exit(1); })`;
  const node = `/proc/${pidOf("gateway")}/exe`;
  const args = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", node, "-e", script, socket];
  return run("setpriv", args, { timeout: 20_000 }).then(
    () => "connected",
    (error: { stdout: string }) => error.stdout.trim(),
  );
}
const gidOf = (pid: number): number => Number(/^Gid:\s+(\d+)/m.exec(status(pid))?.[1]);

describe("the parts", () => {
  test("run under uids of their own; only the driver is root", () => {
    expect(uidOf(pidOf("driver")!)).toBe(0);
    const uids = PARTS.map((part) => uidOf(pidOf(part)!));
    for (const uid of uids) expect(uid).toBeGreaterThan(0);
    expect(new Set(uids).size).toBe(PARTS.length);
  });

  test.each(PARTS)("%s can gain nothing: no capability, in no set that counts", (part) => {
    const text = status(pidOf(part)!);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) expect(text).toMatch(new RegExp(`^${set}:\\s+0+$`, "m"));
  });

  test.each(["gateway", "egress", "log-collector"])("the %s cannot open the driver's socket; the control plane can", async (part) => {
    const [pid, control] = [pidOf(part)!, pidOf("control-plane")!];
    const socket = `${runDir}/driver/s`;
    expect(await dialAs(uidOf(pid), gidOf(pid), socket)).toBe("EACCES");
    expect(await dialAs(uidOf(control), gidOf(control), socket)).toBe("connected"); // the probe works
  });

  test("a stranger on the machine opens no socket of the platform, and reads none of its secrets", async () => {
    const sockets = [
      `${runDir}/driver/s`,
      `${runDir}/control/api`,
      `${runDir}/control/internal`,
      `${runDir}/gateway/admin`,
      `${runDir}/egress/admin`,
      `${runDir}/collector/s`,
    ];
    for (const socket of sockets) expect([socket, await dialAs(65_534, 65_534, socket)]).toEqual([socket, "EACCES"]);
    for (const file of filesBelow(stateDir))
      if (/fnctl_[a-z0-9]{8}_[\w-]{20,}/.test(readFileSync(file, "latin1"))) expect([file, worldReadable(file)]).toEqual([file, false]);
    for (const file of readdirSync(`${runDir}/secrets`)) expect(statSync(`${runDir}/secrets/${file}`).mode & 0o077).toBe(0);
  });
});

/** Files directly in a folder, where tokens could be; folders in it belong to the parts and are not listed. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(folder, entry.name));
const worldReadable = (file: string): boolean => (statSync(file).mode & 0o004) !== 0;

describe("what belongs to tenants", () => {
  /** Every file and folder below `folder` that this user can list or read, as the kernel decides and not by mode bits. */
  async function openTo(uid: number, gid: number, folder: string): Promise<string[]> {
    const args = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "find", folder, "-readable", "!", "-type", "l"];
    const { stdout } = await run("setpriv", args).catch((error: { stdout: string }) => error);
    return stdout.trim().split("\n").filter(Boolean);
  }

  test("source, log pipes, kept logs, images and the database are closed to strangers and to parts that need none of it", async () => {
    await deployFixture("private-source", "echo.js");
    const [id] = await instancesOf("private-source");
    expect(await openTo(0, 0, `${runDir}/i/${id}`)).not.toEqual([]); // the probe works
    const gateway = pidOf("gateway")!;
    const secret = ["layers", "images", "logs", "postgres", "spool", "access-log", "secrets", "service-logs"].map(
      (name) => `${stateDir}/${name}`,
    );
    for (const folder of [...secret, `${runDir}/l`, `${runDir}/i/${id}/c`, `${runDir}/i/${id}/bundle`, `${runDir}/layers`])
      expect([folder, await openTo(65_534, 65_534, folder)]).toEqual([folder, []]);
    for (const folder of [`${stateDir}/layers`, `${runDir}/l`, `${runDir}/i/${id}/c`])
      expect([folder, await openTo(uidOf(gateway), gidOf(gateway), folder)]).toEqual([folder, []]);
    await api("DELETE", "/v1/functions/private-source");
  });
});

describe("an instance that was stopped", () => {
  test("leaves no process, cgroup, mount or folder", async () => {
    await deployFixture("passing", "echo.js");
    const cgroup = await cgroupOf("passing");
    const [id] = await instancesOf("passing");
    const pids = readFileSync(`${cgroup}/cgroup.procs`, "utf8").trim().split("\n").map(Number);
    expect(pids.length).toBeGreaterThan(1);
    expect(tracesOf(id!)).not.toEqual([]); // the probe works
    expect((await api("DELETE", "/v1/functions/passing")).status).toBe(204);
    await expect.poll(() => tracesOf(id!), { timeout: 20_000 }).toEqual([]);
    await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 10_000 }).toEqual([]);
  });
});

/** Everything on this host that carries the instance's id: mounts, folders, cgroups of every hierarchy, command lines. */
function tracesOf(id: string): string[] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(id));
  const folders = [`${runDir}/i/${id}`, `${runDir}/l/${id}`, `${runDir}/egress-i/${id}`, `${runDir}/runsc/${id}`].filter((folder) =>
    existsSync(folder),
  );
  const cgroups = ["", ...readdirSync("/sys/fs/cgroup")]
    .map((name) => path.join("/sys/fs/cgroup", name, `fnctl-${mark}`))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => path.join(folder, name)))
    .filter((folder) => path.basename(folder) === id);
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandLine(pid).includes(id));
  return [...mounts, ...folders, ...cgroups, ...processes.map((pid) => `process ${pid}`)];
}
