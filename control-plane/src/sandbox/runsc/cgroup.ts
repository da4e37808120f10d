// Reads facts from a sandbox's cgroup, on v1 and v2, and removes the cgroup where runsc did not get to it.
import { existsSync } from "node:fs";
import { readFile, rmdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";

const ROOT = "/sys/fs/cgroup";
const POLL_MS = 5;
/** Killed processes leave their cgroup within milliseconds, unless the kernel is stuck in them. */
const REMOVE_LIMIT_MS = 10_000;

/** How many processes the kernel killed in this cgroup because its memory limit was reached; undefined when the cgroup is gone. */
export async function oomKills(cgroupsPath: string, root = ROOT): Promise<number | undefined> {
  // v2 marks the root of its one hierarchy with this file (cgroups(7)).
  const v2 = existsSync(path.join(root, "cgroup.controllers"));
  const file = v2 ? path.join(root, cgroupsPath, "memory.events") : path.join(root, "memory", cgroupsPath, "memory.oom_control");
  try {
    const match = /^oom_kill (\d+)$/m.exec(await readFile(file, "utf8"));
    return match === null ? 0 : Number(match[1]);
  } catch {
    return undefined; // no such cgroup
  }
}

/** Mount points of every cgroup hierarchy, v1 and v2 (proc(5), mountinfo). */
export async function cgroupRoots(mountinfo = "/proc/self/mountinfo"): Promise<string[]> {
  const lines = (await readFile(mountinfo, "utf8")).split("\n");
  return lines.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(" ")[4] ?? "");
}

/** Kills all processes in the cgroup and removes it from every hierarchy. runsc does this, too, but not after a start that was cut off. */
export async function removeCgroup(cgroupsPath: string, roots?: readonly string[]): Promise<void> {
  const folders = (roots ?? (await cgroupRoots())).map((root) => path.join(root, cgroupsPath));
  await Promise.all(folders.filter((folder) => existsSync(folder)).map((folder) => removeFolder(folder)));
}

async function removeFolder(folder: string): Promise<void> {
  for (const end = Date.now() + REMOVE_LIMIT_MS; ; await sleep(POLL_MS)) {
    const pids = (await readFile(path.join(folder, "cgroup.procs"), "utf8").catch(() => "")).split("\n").filter(Boolean);
    for (const pid of pids) killQuietly(Number(pid));
    const code = await rmdir(folder).then(
      () => "ENOENT",
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code === "ENOENT") return;
    if (code !== "EBUSY" || Date.now() > end)
      throw new PlatformError("SANDBOX_FAILED", `The cgroup ${folder} cannot be removed (${code}).`);
  }
}

function killQuietly(pid: number): void {
  try {
    if (pid > 1) process.kill(pid, "SIGKILL");
  } catch {
    // it is gone already
  }
}
