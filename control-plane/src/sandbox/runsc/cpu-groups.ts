// Processor time is shared between tenants, not between instances: each tenant has one group with one weight, however many instances are in
// it, and all of them together weigh less than the platform's own processes beside them. A sandbox is nobody's until code is loaded: it
// begins in a group of all such, builders too, which yields to tenants that use little (`light-first.ts`) and shares with the others as
// one of them. It is moved after the load; the move waits for the kernel's grace periods, and nobody waits for the move.
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rmdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import path from "node:path";
import { createKeyedMutex } from "../../service/keyed-mutex.ts";
import { removeCgroup } from "./cgroup.ts";
import { processorSeconds, type CpuHierarchy } from "./cpu-hierarchy.ts";
import { createLightFirst } from "./light-first.ts";

/** Weights as cgroup v1 counts them (cpu.shares; 1024 is one of the host's own processes). v2's are a tenth of that (cpu.weight). */
export const CPU_SHARES = {
  /** All sandboxes together, beside the host's processes. */
  platform: 256,
  tenant: 1024,
  /** Beside other instances of the tenant, and before that beside others that begin. */
  instance: 1024,
  /** Beside what begins: who waits for a start waits for a request, who waits for a build for a deploy. */
  builder: 512,
} as const;

const NOBODYS = "nobodys";
/** Where a sandbox begins, in every hierarchy. */
export const firstPlaceOf = (parent: string, id: string): string => `${parent}/${NOBODYS}/${id}`;

const LIMITS = {
  v1: ["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"],
  unified: ["cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "pids.max"],
};
const ROUNDS = 10;

export function createCpuGroups(
  hierarchy: CpuHierarchy,
  parent: string,
  onError: (error: unknown) => void,
  processors: number = availableParallelism(),
) {
  const { root, unified } = hierarchy;
  const top = path.join(root, parent);
  const groupOf = (tenantId: string) => `${parent}/t-${tenantId}`;
  /** One at a time for each tenant: a group goes with its last instance, and must not while the next one moves in. */
  const oneAtATime = createKeyedMutex();
  const placeOf = (tenantId: string, id: string) => `${groupOf(tenantId)}/${id}`;
  const lightFirst = createLightFirst({
    processors,
    total: () => processorSeconds(hierarchy, parent),
    // Where the two hierarchies are mounted apart, what counts is still where it began.
    of: (tenantId, id) => processorSeconds(hierarchy, hierarchy.accounting === root ? placeOf(tenantId, id) : firstPlaceOf(parent, id)),
    judged: (tenantId) => void oneAtATime(tenantId, () => yieldIfHeavy(tenantId)).catch(onError),
  });
  /** What is true when its turn comes, not when it was asked for. */
  const yieldIfHeavy = (tenantId: string): Promise<void> => setYielding(path.join(root, groupOf(tenantId)), lightFirst.isHeavy(tenantId));

  /**
   * A kernel before 5.15 has no such file: weights alone must do there. A group that is gone has nothing to yield. One that yields takes no
   * weight, and gets the kernel's own when it no longer does.
   */
  async function setYielding(folder: string, yes: boolean): Promise<void> {
    const file = path.join(folder, "cpu.idle");
    if (existsSync(file)) await writeFile(file, yes ? "1" : "0").catch(ignoreGone);
    if (!yes) await setShares(folder, CPU_SHARES.tenant).catch(ignoreGone);
  }
  const setShares = (folder: string, shares: number): Promise<void> =>
    unified
      ? writeFile(path.join(folder, "cpu.weight"), String(Math.max(1, Math.round(shares / 10))))
      : writeFile(path.join(folder, "cpu.shares"), String(shares));

  async function makeGroup(tenantId: string): Promise<void> {
    const folder = path.join(root, groupOf(tenantId));
    await mkdir(folder, { recursive: true });
    if (unified) await writeFile(path.join(folder, "cgroup.subtree_control"), "+cpu +memory +pids");
    await yieldIfHeavy(tenantId);
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
    throw new Error(`${from} still has processes after ${ROUNDS} rounds.`);
  }

  async function place(tenantId: string, id: string): Promise<void> {
    const [from, to] = [path.join(root, firstPlaceOf(parent, id)), path.join(root, placeOf(tenantId, id))];
    if (!existsSync(from)) return; // it has ended
    await makeGroup(tenantId);
    await mkdir(to, { recursive: true });
    // A kernel that does not count swap has no file for it.
    for (const file of LIMITS[unified ? "unified" : "v1"])
      if (existsSync(path.join(from, file))) await writeFile(path.join(to, file), await readFile(path.join(from, file), "utf8"));
    lightFirst.add(tenantId, id);
    await move(from, to);
  }
  async function remove(tenantId: string, id: string): Promise<void> {
    await removeCgroup(placeOf(tenantId, id), [root]);
    await removeEmpty(path.join(root, groupOf(tenantId)));
  }

  /** Of the driver before, which may have been killed anywhere: nobody is judged yet, and what is empty goes. */
  async function resetTenants(): Promise<void> {
    const theirs = (await readdir(top)).filter((name) => name.startsWith("t-")).map((name) => path.join(top, name));
    for (const folder of theirs) {
      await removeEmpty(folder);
      await setYielding(folder, false);
    }
  }

  return {
    /** Once, before the first sandbox. */
    async prepare(): Promise<void> {
      const nobodys = path.join(top, NOBODYS);
      await mkdir(top, { recursive: true });
      if (unified) await writeFile(path.join(top, "cgroup.subtree_control"), "+cpu +memory +pids");
      await setShares(top, CPU_SHARES.platform);
      await mkdir(nobodys, { recursive: true });
      await setYielding(nobodys, false); // or it would take no weight, where it is of the driver before
      await setYielding(nobodys, true);
      await resetTenants();
    },
    /** Moves an instance to its tenant's group, with its own limits. Again for one that is there does nothing. */
    place: (tenantId: string, id: string): Promise<void> => oneAtATime(tenantId, () => place(tenantId, id)),
    /** Before its processes are ended and their groups removed: what it used counts for its tenant. */
    leaving: (id: string): void => lightFirst.remove(id),
    /** After its processes have ended; a tenant's last one takes the group along. */
    remove: (tenantId: string, id: string): Promise<void> => oneAtATime(tenantId, () => remove(tenantId, id)),
    /** Where the instance's own limits are once it was placed; on v2 the kernel counts there that it ran out of memory. */
    placeOf,
  };
}
/** Others of the tenant may be in it. */
const removeEmpty = (folder: string): Promise<void> =>
  rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!["ENOENT", "EBUSY", "ENOTEMPTY"].includes(error.code ?? "")) throw error;
  });
const ignoreGone = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "ENOENT" && error.code !== "ENODEV") throw error;
};
export type CpuGroups = ReturnType<typeof createCpuGroups>;
