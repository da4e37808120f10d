// The control of a judgement: the same processor time, burnt by plain processes: what sandboxes used in a group of a tenant's weight, what
// services used beside it. What a neighbour's latency then is, it is because processors are busy, and not because of anything that is shared.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CPU_SHARES } from "@fnctl/control-plane/sandbox/runsc/cpu-groups";
import { findCpuHierarchy, processorSeconds, type CpuHierarchy } from "@fnctl/control-plane/sandbox/runsc/cpu-hierarchy";

/** Processors' worth that something takes. */
export interface Processors {
  sandboxes: number;
  /** The platform's services, its starts of sandboxes, and whatever else the machine does. */
  services: number;
  /** This process: the load, and not the one that measures, which is the same in every part. */
  load: number;
}

export interface Counted<T> {
  value: T;
  seconds: number;
  processors: Processors;
}

/** Seconds of processor time of the whole machine that were not idle (proc(5), stat; a tick is 10 ms). */
function machineSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = readFileSync("/proc/stat", "utf8").split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / 100;
}
async function counted(group: string): Promise<Processors> {
  const hierarchy = await findCpuHierarchy();
  const sandboxes = hierarchy === undefined ? undefined : processorSeconds(hierarchy, group);
  if (sandboxes === undefined) throw new Error(`No processor time is counted for ${group}.`);
  const { user, system } = process.cpuUsage();
  const load = (user + system) / 1e6;
  return { sandboxes, load, services: machineSeconds() - sandboxes - load };
}

/** What the platform's sandboxes, and everything else, take while `work` goes on. */
export async function whileCounting<T>(group: string, work: () => Promise<T>): Promise<Counted<T>> {
  const [before, begun] = [await counted(group), performance.now()];
  const value = await work();
  const [after, seconds] = [await counted(group), (performance.now() - begun) / 1000];
  const of = (what: keyof Processors) => (after[what] - before[what]) / seconds;
  return { value, seconds, processors: { sandboxes: of("sandboxes"), services: of("services"), load: of("load") } };
}

/** Never outlives whoever started it: the next measurement would be of a machine that is busy. */
const SPIN = "const parent = process.ppid; for (let turn = 0; ; turn++) if (turn % 1e6 === 0 && process.ppid !== parent) process.exit();";
/** So short that what is burnt is spread evenly, microseconds; longer for little, because the kernel takes no quota below 1,000. */
const PERIOD = 10_000;
const PERIOD_OF_LITTLE = 100_000;

/** Takes so many processors' worth whenever it can get them, as code that spins does, and no more: the kernel holds it to that. */
function burner(hierarchy: CpuHierarchy, group: string, { shares, processors }: { shares: number; processors: number }) {
  const folder = path.join(hierarchy.root, group);
  // Where it is shared and, if that is somewhere else, where it is counted.
  const folders = [...new Set([folder, path.join(hierarchy.accounting ?? hierarchy.root, group)])];
  for (const each of folders) mkdirSync(each, { recursive: true });
  const period = processors * PERIOD >= 1_000 ? PERIOD : PERIOD_OF_LITTLE;
  const quota = Math.round(processors * period);
  const limits = hierarchy.unified
    ? { "cpu.weight": Math.round(shares / 10), "cpu.max": `${quota} ${period}` }
    : { "cpu.shares": shares, "cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota };
  for (const [file, value] of Object.entries(limits)) writeFileSync(path.join(folder, file), String(value));
  // More than one for each processor: each of them always has one that waits for it.
  const children = Array.from({ length: 2 * availableParallelism() }, () => spawn(process.execPath, ["-e", SPIN], { stdio: "ignore" }));
  for (const { pid } of children) for (const each of folders) writeFileSync(path.join(each, "cgroup.procs"), String(pid));
  return async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ended);
    for (const each of folders) rmdirSync(each);
  };
}

/** Burns as much until it is ended: what sandboxes took as a tenant of `parent` would, and the rest as the platform's services do. */
export async function burn(parent: string, { sandboxes, services, load }: Processors): Promise<() => Promise<void>> {
  const hierarchy = await findCpuHierarchy();
  if (hierarchy === undefined) throw new Error("This machine shares no processor time.");
  const wanted = [
    { group: `${parent}/t-control`, shares: CPU_SHARES.tenant, processors: sandboxes },
    { group: `${parent}-control`, shares: 1024, processors: services + load },
  ];
  const ends = wanted.filter(({ processors }) => processors >= 0.02).map(({ group, ...most }) => burner(hierarchy, group, most));
  await sleep(300);
  return async () => void (await Promise.all(ends.map((end) => end())));
}
