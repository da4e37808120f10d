// Processor time is shared between tenants, not between instances: each tenant has one group with one weight, however many instances are in
// it, and all of them together weigh less than the platform's own processes beside them. A sandbox is nobody's until code is loaded, so it
// is moved then; the move waits for the kernel's grace periods, and nobody waits for the move.
import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createTurns } from "../../service/turns.ts";
import { removeCgroup } from "./cgroup.ts";

/** Weights as cgroup v1 counts them (cpu.shares; 1024 is one of the host's own processes). v2's are a tenth of that (cpu.weight). */
export const CPU_SHARES = {
  /** All sandboxes together, beside the host's processes. */
  platform: 256,
  tenant: 1024,
  /**
   * A sandbox that is nobody's yet, beside the tenants' groups; below its tenant's group it weighs as much as its siblings. Functions of one
   * tenant that end at each request moved a neighbour's p99 to 5.4 times the control's, by the starts of others in their place: 4.5 with this
   * instead of 1024, 2.9 with fewer starts at a time (`wiring/sandboxes.ts`), 2.0 with both.
   */
  starting: 256,
  /**
   * A builder, beside the tenants' groups. Less than a tenant's functions, so that requests come before builds; but beside one tenant whose
   * functions spin, on a machine that was busy with something else, too, deploys of others took 1 to 41 s with 128 and 0.5 to 4 s with this.
   */
  builder: 512,
} as const;

export interface CpuHierarchy {
  root: string;
  /** Where there is but one hierarchy (cgroups(7)), memory and processes are limited there, too, and those limits move along. */
  unified: boolean;
}

/** The hierarchy that shares processor time; undefined: there is none, and nothing can be shared (proc(5), mountinfo). */
export async function findCpuHierarchy(mountinfo = "/proc/self/mountinfo"): Promise<CpuHierarchy | undefined> {
  const lines = (await readFile(mountinfo, "utf8")).split("\n");
  for (const line of lines) {
    const [, root = ""] = /^(?:\S+ ){4}(\S+)/.exec(line) ?? [];
    const [, type, options = ""] = / - (cgroup2?) \S+ (\S+)/.exec(line) ?? [];
    if (type === "cgroup" && options.split(",").includes("cpu")) return { root, unified: false };
    if (type !== "cgroup2") continue;
    const controllers = await readFile(path.join(root, "cgroup.controllers"), "utf8").catch(() => "");
    if (controllers.split(/\s/).includes("cpu")) return { root, unified: true };
  }
  return undefined;
}

const LIMITS = {
  v1: ["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"],
  unified: ["cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "pids.max"],
};
const ROUNDS = 10;

export function createCpuGroups({ root, unified }: CpuHierarchy, parent: string) {
  const top = path.join(root, parent);
  const groupOf = (tenantId: string) => `${parent}/t-${tenantId}`;
  /** One at a time for each tenant: a group goes with its last instance, and must not while the next one moves in. */
  const inTurn = createTurns();
  const placeOf = (tenantId: string, id: string) => `${groupOf(tenantId)}/${id}`;

  const setShares = (folder: string, shares: number): Promise<void> =>
    unified
      ? writeFile(path.join(folder, "cpu.weight"), String(Math.max(1, Math.round(shares / 10))))
      : writeFile(path.join(folder, "cpu.shares"), String(shares));

  async function makeGroup(tenantId: string): Promise<void> {
    const folder = path.join(root, groupOf(tenantId));
    if (existsSync(folder)) return;
    await mkdir(folder, { recursive: true });
    if (unified) await writeFile(path.join(folder, "cgroup.subtree_control"), "+cpu +memory +pids");
    await setShares(folder, CPU_SHARES.tenant);
  }

  /** All of it, however many it becomes meanwhile: what a process of it starts is where that process was. */
  async function move(from: string, to: string): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const pids = (await readFile(path.join(from, "cgroup.procs"), "utf8")).split("\n").filter(Boolean);
      if (pids.length === 0) return;
      for (const pid of pids)
        await writeFile(path.join(to, "cgroup.procs"), pid).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ESRCH") throw error; // it has ended
        });
    }
  }

  async function place(tenantId: string, id: string): Promise<void> {
    const [from, to] = [path.join(top, id), path.join(root, placeOf(tenantId, id))];
    if (!existsSync(from)) return; // it has ended
    await makeGroup(tenantId);
    await mkdir(to, { recursive: true });
    for (const file of LIMITS[unified ? "unified" : "v1"])
      await writeFile(path.join(to, file), await readFile(path.join(from, file), "utf8"));
    await move(from, to);
  }
  async function remove(tenantId: string, id: string): Promise<void> {
    await removeCgroup(placeOf(tenantId, id), [root]);
    await rmdir(path.join(root, groupOf(tenantId))).catch((error: NodeJS.ErrnoException) => {
      if (!["ENOENT", "EBUSY", "ENOTEMPTY"].includes(error.code ?? "")) throw error; // others of the tenant are in it
    });
  }

  return {
    /** Once, before the first sandbox. */
    async prepare(): Promise<void> {
      await mkdir(top, { recursive: true });
      await setShares(top, CPU_SHARES.platform);
    },
    /** Moves an instance to its tenant's group, with its own limits. Again for one that is there does nothing. */
    place: (tenantId: string, id: string): Promise<void> => inTurn(tenantId, () => place(tenantId, id)),
    /** After its processes have ended; a tenant's last one takes the group along. */
    remove: (tenantId: string, id: string): Promise<void> => inTurn(tenantId, () => remove(tenantId, id)),
    /** Where the instance's own limits are once it was placed; on v2 the kernel counts there that it ran out of memory. */
    placeOf,
  };
}
export type CpuGroups = ReturnType<typeof createCpuGroups>;
