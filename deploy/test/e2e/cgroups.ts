// The cgroup of a function's instance, as the host sees it.
import { existsSync, readFileSync } from "node:fs";
import { firstPlaceOf } from "@fnctl/control-plane/sandbox/runsc/cpu-groups";
import { call } from "./api.ts";
import { instancesOf, mark } from "./processes.ts";

/** Cgroup folder of the instance that serves this function. The function is called first, so that there is an instance. */
export async function cgroupOf(name: string): Promise<string> {
  await call(name);
  const [id] = await instancesOf(name);
  if (id === undefined) throw new Error(`${name} has no instance`);
  const own = firstPlaceOf(`/fnctl-${mark}`, id);
  const folder = [`/sys/fs/cgroup/pids${own}`, `/sys/fs/cgroup${own}`].find((path) => existsSync(path));
  if (folder === undefined) throw new Error(`${id} has no cgroup`);
  return folder;
}

/** Number of processes and threads in the cgroup; 0 when it is gone. */
export function processesIn(folder: string): number {
  try {
    return Number(readFileSync(`${folder}/pids.current`, "utf8"));
  } catch {
    return 0;
  }
}
