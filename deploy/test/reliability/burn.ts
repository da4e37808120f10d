// Runs the control for a judgement: plain processes burn the same processor time, the sandboxes' part in a cgroup with a tenant's weight
// and the services' part beside it. The neighbour's latency under this control is due to busy processors alone, and not to anything else
// that tenants share.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CPU_SHARES } from "@fnctl/control-plane/sandbox/runsc/cpu-groups";
import { findCpuHierarchy, processorSeconds, type CpuHierarchy } from "@fnctl/control-plane/sandbox/runsc/cpu-hierarchy";

/** Processor time in use, counted in whole processors. */
export interface Processors {
  sandboxes: number;
  /** The platform's services, its starts of sandboxes, and whatever else the machine does. */
  services: number;
  /** This process, which makes the load; its thread that measures uses the same in every part. */
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

/** Runs `work`, and counts the processor time that the platform's sandboxes and everything else use meanwhile. */
export async function whileCounting<T>(group: string, work: () => Promise<T>): Promise<Counted<T>> {
  const [before, begun] = [await counted(group), performance.now()];
  const value = await work();
  const [after, seconds] = [await counted(group), (performance.now() - begun) / 1000];
  const of = (what: keyof Processors) => (after[what] - before[what]) / seconds;
  return { value, seconds, processors: { sandboxes: of("sandboxes"), services: of("services"), load: of("load") } };
}

/** The burning program ends when its parent does, because the next measurement must not find a busy machine. */
const SPIN = "const parent = process.ppid; for (let turn = 0; ; turn++) if (turn % 1e6 === 0 && process.ppid !== parent) process.exit();";
/**
 * Quota period, microseconds: short, so that the burning is spread evenly; longer for small amounts, because the kernel accepts no quota
 * below 1,000.
 */
const PERIOD = 10_000;
const PERIOD_OF_LITTLE = 100_000;

/** Uses this many processors' worth of time whenever it can get it, as spinning code does; a kernel quota keeps it from using more. */
function burner(hierarchy: CpuHierarchy, group: string, { shares, processors }: { shares: number; processors: number }) {
  const folder = path.join(hierarchy.root, group);
  // The cgroup's folder for sharing processor time and, if that is another one, the folder for counting it.
  const folders = [...new Set([folder, path.join(hierarchy.accounting ?? hierarchy.root, group)])];
  for (const each of folders) mkdirSync(each, { recursive: true });
  const period = processors * PERIOD >= 1_000 ? PERIOD : PERIOD_OF_LITTLE;
  const quota = Math.round(processors * period);
  const limits = hierarchy.unified
    ? { "cpu.weight": Math.round(shares / 10), "cpu.max": `${quota} ${period}` }
    : { "cpu.shares": shares, "cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota };
  for (const [file, value] of Object.entries(limits)) writeFileSync(path.join(folder, file), String(value));
  // Two processes for each processor, so that one always waits for it.
  const children = Array.from({ length: 2 * availableParallelism() }, () => spawn(process.execPath, ["-e", SPIN], { stdio: "ignore" }));
  for (const { pid } of children) for (const each of folders) writeFileSync(path.join(each, "cgroup.procs"), String(pid));
  return async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ended);
    for (const each of folders) rmdirSync(each);
  };
}

/**
 * Burns this much until the returned function is called: the sandboxes' part as a tenant below `parent` would, and the rest as the
 * platform's services do.
 */
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
