// The control of a judgement: the same processor time as the sandboxes used, burnt by plain processes in a group of the same weight as a
// tenant's. What a neighbour's latency then is, it is because processors are busy, and not because of anything that the platform does.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CPU_SHARES, findCpuHierarchy } from "@fnctl/control-plane/sandbox/runsc/cpu-groups";

/** Busy for `busy` of every 10 ms; all in one process each, as a sandbox's threads are. */
const SCRIPT = `const busy = Number(process.argv[1]);
  (function turn() { const end = performance.now() + busy; while (performance.now() < end); setTimeout(turn, 10 - busy); })();`;

/** Seconds of processor time of this group and of all that was ever in it; undefined: the kernel does not count it here. */
function processorSeconds(group: string): number | undefined {
  for (const file of [`/sys/fs/cgroup/cpuacct${group}/cpuacct.usage`, `/sys/fs/cgroup/cpu,cpuacct${group}/cpuacct.usage`])
    if (existsSync(file)) return Number(readFileSync(file, "utf8")) / 1e9;
  const unified = `/sys/fs/cgroup${group}/cpu.stat`;
  return existsSync(unified) ? Number(/usage_usec (\d+)/.exec(readFileSync(unified, "utf8"))?.[1]) / 1e6 : undefined;
}

/** Processors' worth that the platform's sandboxes use while `work` goes on. */
export async function whileCounting<T>(group: string, work: () => Promise<T>): Promise<{ value: T; processors: number }> {
  const [before, begun] = [processorSeconds(group), performance.now()];
  if (before === undefined) throw new Error(`No processor time is counted for ${group}.`);
  const value = await work();
  return { value, processors: ((processorSeconds(group) ?? before) - before) / ((performance.now() - begun) / 1000) };
}

/** Burns so many processors' worth until it is ended. */
export async function burn(parent: string, processors: number): Promise<() => Promise<void>> {
  const hierarchy = await findCpuHierarchy();
  const group = hierarchy === undefined ? undefined : path.join(hierarchy.root, parent, "t-control");
  const children: ChildProcess[] = [];
  for (let left = processors; left > 0.02; left -= 1)
    children.push(spawn(process.execPath, ["-e", SCRIPT, String(Math.min(left, 0.97) * 10)], { stdio: "ignore" }));
  if (group !== undefined) {
    mkdirSync(group, { recursive: true });
    if (existsSync(path.join(group, "cpu.shares"))) writeFileSync(path.join(group, "cpu.shares"), String(CPU_SHARES.tenant));
    for (const { pid } of children) writeFileSync(path.join(group, "cgroup.procs"), String(pid));
  }
  await sleep(300);
  return async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ended);
    if (group !== undefined) rmdirSync(group);
  };
}
