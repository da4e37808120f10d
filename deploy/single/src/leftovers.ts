// What the kernel keeps of a platform whose parts have all ended: its mounts and its folder of cgroups.
import { readdir, rmdir } from "node:fs/promises";
import path from "node:path";
import { cgroupRoots } from "@fnctl/control-plane/sandbox/runsc/cgroup";
import { mountPoints, unmount } from "@fnctl/control-plane/sandbox/runsc/mounts";
import { cgroupParent } from "./parts.ts";
import type { Settings } from "./settings.ts";

/** Removes them, unless an instance would not stop: that one is the next driver's to adopt. */
export async function removeLeftovers({ runDir, mark }: Settings): Promise<void> {
  const instances = await readdir(path.join(runDir, "i")).catch(() => []);
  if (instances.length > 0) return;
  const own = [...(await mountPoints())].filter((target) => target.startsWith(`${runDir}/`));
  for (const target of own.toSorted().toReversed()) await unmount(target); // the inner ones first
  for (const root of await cgroupRoots()) await removeEmpty(path.join(root, cgroupParent(mark)));
}

/** With the groups in it: those of tenants go with their last instance, unless its driver was killed in between. */
async function removeEmpty(folder: string): Promise<void> {
  const below = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of below) if (entry.isDirectory()) await removeEmpty(path.join(folder, entry.name));
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
