// Finds processes of pods on this machine, where the test cluster's only node is.
import { readdir, readFile } from "node:fs/promises";

/** Process id of a pod's program (`gateway`, `control-plane`, ...). */
export async function processOfPod(program: string, podUid: string): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const [command, groups] = await Promise.all([
      readFile(`/proc/${name}/cmdline`, "utf8"),
      readFile(`/proc/${name}/cgroup`, "utf8"),
    ]).catch(() => ["", ""]);
    if (command.includes(`/${program}.mjs`) && groups.replaceAll("_", "-").includes(podUid)) return Number(name);
  }
  throw new Error(`No process of pod ${podUid}.`);
}
