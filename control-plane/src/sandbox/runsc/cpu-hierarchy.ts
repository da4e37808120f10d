// Finds where the kernel shares processor time between groups of processes, and where it counts the time that they used. On cgroup v2 this
// is one hierarchy, on v1 two that may be mounted together (cgroups(7)).
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";

export interface CpuHierarchy {
  root: string;
  /**
   * True if there is only one hierarchy (cgroup v2, cgroups(7)): then memory and processes are limited in it, too, and these limits move
   * along.
   */
  unified: boolean;
  /** Mount point of the hierarchy that counts processor time; undefined if the kernel does not count it. */
  accounting: string | undefined;
}

/** The hierarchy that shares processor time (proc(5), mountinfo); undefined if there is none, so that nothing can be shared. */
export async function findCpuHierarchy(mountinfo = "/proc/self/mountinfo"): Promise<CpuHierarchy | undefined> {
  const lines = (await readFile(mountinfo, "utf8")).split("\n");
  const v1 = new Map<string, string>();
  for (const line of lines) {
    const [, root = ""] = /^(?:\S+ ){4}(\S+)/.exec(line) ?? [];
    const [, type, options = ""] = / - (cgroup2?) \S+ (\S+)/.exec(line) ?? [];
    if (type === "cgroup") for (const controller of options.split(",")) v1.set(controller, root);
    if (type !== "cgroup2") continue;
    const controllers = await readFile(path.join(root, "cgroup.controllers"), "utf8").catch(() => "");
    if (controllers.split(/\s/).includes("cpu")) return { root, unified: true, accounting: root };
  }
  const root = v1.get("cpu");
  return root === undefined ? undefined : { root, unified: false, accounting: v1.get("cpuacct") };
}

/**
 * Seconds of processor time of this group and of everything that ever ran in it; undefined if the group does not exist or the kernel does
 * not count.
 */
export function processorSeconds({ unified, accounting }: CpuHierarchy, group: string): number | undefined {
  if (accounting === undefined) return undefined;
  try {
    const text = readFileSync(path.join(accounting, group, unified ? "cpu.stat" : "cpuacct.usage"), "utf8");
    const seconds = unified ? Number(/^usage_usec (\d+)/m.exec(text)?.[1]) / 1e6 : Number(text) / 1e9;
    return Number.isFinite(seconds) ? seconds : undefined;
  } catch {
    return undefined;
  }
}
