// Processor time is shared between tenants, not between instances: each tenant has one group with one weight, however many instances are in
// it, and all groups together weigh less than the platform's own processes beside them. A sandbox belongs to no tenant until code is
// loaded: all such sandboxes, and builders, begin in one common group. That group yields to tenants that use little (`light-first.ts`), and
// beside the other tenants it has the weight of one. A sandbox is moved to its tenant's group after the load. The move takes time for the
// kernel's grace periods, so no request waits for it.
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
  /** Weight beside other instances of the tenant, and before the move beside other sandboxes in the common group. */
  instance: 1024,
  /** Lower than that of a starting instance, because a request may wait for that, and only a deploy waits for a builder. */
  builder: 512,
} as const;

const UNASSIGNED_GROUP = "nobodys";
/** The group in which a sandbox begins, in every hierarchy. */
export const firstPlaceOf = (parent: string, id: string): string => `${parent}/${UNASSIGNED_GROUP}/${id}`;

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
  /** One change at a time for each tenant: its group is removed with its last instance, but must not be while another one moves in. */
  const oneAtATime = createKeyedMutex();
  const placeOf = (tenantId: string, id: string) => `${groupOf(tenantId)}/${id}`;
  const lightFirst = createLightFirst({
    processors,
    total: () => processorSeconds(hierarchy, parent),
    // An instance is moved only in the hierarchy that shares. If another one counts, the instance is still in its first group there.
    of: (tenantId, id) => processorSeconds(hierarchy, hierarchy.accounting === root ? placeOf(tenantId, id) : firstPlaceOf(parent, id)),
    judged: (tenantId) => void oneAtATime(tenantId, () => yieldIfHeavy(tenantId)).catch(onError),
  });
  /** Applies the judgement that holds when this runs, which may be a newer one than when it was requested. */
  const yieldIfHeavy = (tenantId: string): Promise<void> => setYielding(path.join(root, groupOf(tenantId)), lightFirst.isHeavy(tenantId));

  /**
   * A kernel before 5.15 has no such file, so there only the weights count. A group that is gone is ignored. The kernel accepts no weight
   * for a group that yields, and gives it the default weight when it stops yielding, so the weight is set again then.
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

  /** Moves all processes of a group, in several rounds, because a process that is not moved yet may start new ones in the old group. */
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
    // A kernel that does not count swap lacks the file for its limit.
    for (const file of LIMITS[unified ? "unified" : "v1"])
      if (existsSync(path.join(from, file))) await writeFile(path.join(to, file), await readFile(path.join(from, file), "utf8"));
    lightFirst.add(tenantId, id);
    await move(from, to);
  }
  async function remove(tenantId: string, id: string): Promise<void> {
    await removeCgroup(placeOf(tenantId, id), [root]);
    await removeEmpty(path.join(root, groupOf(tenantId)));
  }

  /**
   * Resets the groups that an earlier driver left, which may have been killed at any point: removes empty groups, and lets no tenant yield
   * until it is judged.
   */
  async function resetTenants(): Promise<void> {
    const theirs = (await readdir(top)).filter((name) => name.startsWith("t-")).map((name) => path.join(top, name));
    for (const folder of theirs) {
      await removeEmpty(folder);
      await setYielding(folder, false);
    }
  }

  return {
    /** Makes the common group and cleans up after an earlier driver. Must be called once, before the first sandbox. */
    async prepare(): Promise<void> {
      const nobodys = path.join(top, UNASSIGNED_GROUP);
      await mkdir(top, { recursive: true });
      if (unified) await writeFile(path.join(top, "cgroup.subtree_control"), "+cpu +memory +pids");
      await setShares(top, CPU_SHARES.platform);
      await mkdir(nobodys, { recursive: true });
      await setYielding(nobodys, false); // a group of an earlier driver yields, and so would accept no weight
      await setYielding(nobodys, true);
      await resetTenants();
    },
    /** Moves an instance to its tenant's group, with its own limits. A second call for the same instance does nothing. */
    place: (tenantId: string, id: string): Promise<void> => oneAtATime(tenantId, () => place(tenantId, id)),
    /** Must be called before the instance's processes are ended and its groups removed, so that its use still counts for its tenant. */
    leaving: (id: string): void => lightFirst.remove(id),
    /** Must be called after the instance's processes have ended; the tenant's group is removed with its last instance. */
    remove: (tenantId: string, id: string): Promise<void> => oneAtATime(tenantId, () => remove(tenantId, id)),
    /** The group with the instance's own limits after it was placed; on v2 the kernel counts out-of-memory kills there. */
    placeOf,
  };
}
/** Removes the group unless other instances of the tenant are in it. */
const removeEmpty = (folder: string): Promise<void> =>
  rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!["ENOENT", "EBUSY", "ENOTEMPTY"].includes(error.code ?? "")) throw error;
  });
const ignoreGone = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "ENOENT" && error.code !== "ENODEV") throw error;
};
export type CpuGroups = ReturnType<typeof createCpuGroups>;
