// The cgroup of a function's instance, as the host sees it.
import { existsSync, readFileSync } from "node:fs";
import { firstPlaceOf } from "@fnctl/control-plane/sandbox/runsc/cpu-groups";
import { call } from "./api.ts";
import { instancesOf, mark } from "./processes.ts";

/** Folder of the one instance that serves this function now; it is called first, so that there is one. */
export async function cgroupOf(name: string): Promise<string> {
  await call(name);
  const [id] = await instancesOf(name);
  if (id === undefined) throw new Error(`${name} has no instance`);
  const own = firstPlaceOf(`/fnctl-${mark}`, id);
  const folder = [`/sys/fs/cgroup/pids${own}`, `/sys/fs/cgroup${own}`].find((path) => existsSync(path));
  if (folder === undefined) throw new Error(`${id} has no cgroup`);
  return folder;
}

/** Processes and threads in it; 0 when it is gone. */
export function processesIn(folder: string): number {
  try {
    return Number(readFileSync(`${folder}/pids.current`, "utf8"));
  } catch {
    return 0;
  }
}
