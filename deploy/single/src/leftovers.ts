// Removes what the kernel keeps of a platform whose processes have all ended: its mounts and its cgroup folder.
import { readdir, rmdir } from "node:fs/promises";
import path from "node:path";
import { cgroupRoots } from "@fnctl/control-plane/sandbox/runsc/cgroup";
import { mountPoints, unmount } from "@fnctl/control-plane/sandbox/runsc/mounts";
import { cgroupParent } from "./parts.ts";
import type { Settings } from "./settings.ts";

/** Removes nothing if a sandbox did not stop, because the next driver adopts it. */
export async function removeLeftovers({ runDir, mark }: Settings): Promise<void> {
  const instances = await readdir(path.join(runDir, "i")).catch(() => []);
  if (instances.length > 0) return;
  const own = [...(await mountPoints())].filter((target) => target.startsWith(`${runDir}/`));
  for (const target of own.toSorted().toReversed()) await unmount(target); // inner mounts first
  for (const root of await cgroupRoots()) await removeEmpty(path.join(root, cgroupParent(mark)));
}

/**
 * Removes a cgroup with the groups in it. A tenant's group is normally removed with its last sandbox, but stays if the driver was killed in
 * between.
 */
async function removeEmpty(folder: string): Promise<void> {
  const below = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of below) if (entry.isDirectory()) await removeEmpty(path.join(folder, entry.name));
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
