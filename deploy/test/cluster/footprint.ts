// Lists what the test cluster leaves or may have changed on its machine, to compare before and after.
import { execFile } from "node:child_process";
import { glob, readFile, readdir, readlink } from "node:fs/promises";
import { promisify } from "node:util";

export interface Footprint {
  /** Objects that only the test cluster makes; empty when it is down. */
  ours: string[];
  /** Shared settings; the same before and after. */
  rules: string;
  sysctls: string;
}

const MARK = /fnctl-k8s|fnctl-cluster|kubepods/;
const SYSCTLS = ["net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"];
const execFileAsync = promisify(execFile);

export async function footprint(): Promise<Footprint> {
  const found = await Promise.all([processes(), mounts(), links(), groups(), namespaces()]);
  return { ours: found.flat().toSorted(), rules: await rules(), sysctls: await sysctls() };
}

/** Finds processes by their executable, because all of the cluster's parts come from one folder of binaries. */
async function processes(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const executables = await Promise.all(pids.map(async (pid) => `process ${await readlink(`/proc/${pid}/exe`).catch(() => "")} ${pid}`));
  return executables.filter((line) => /\/cluster-[0-9a-f]{12}\/bin\//.test(line));
}

const mounts = async (): Promise<string[]> =>
  (await readFile("/proc/self/mounts", "utf8"))
    .split("\n")
    .filter((line) => MARK.test(line))
    .map((line) => `mount ${line}`);

const links = async (): Promise<string[]> =>
  (await readdir("/sys/class/net")).filter((name) => MARK.test(name)).map((name) => `link ${name}`);

const namespaces = async (): Promise<string[]> =>
  (await readdir("/run/netns").catch(() => [])).filter((name) => MARK.test(name)).map((name) => `netns ${name}`);

async function groups(): Promise<string[]> {
  const found: string[] = [];
  for await (const folder of glob(["/sys/fs/cgroup/*kubepods*", "/sys/fs/cgroup/*/*kubepods*", "/sys/fs/cgroup/*/*fnctl-k8s*"]))
    found.push(`cgroup ${folder}`);
  return found;
}

/**
 * Rules and chains without counters and dates. A table with only its built-in chains, all set to ACCEPT, is left out, because the kernel
 * shows it once any process has read it.
 */
async function rules(): Promise<string> {
  const { stdout } = await execFileAsync("iptables-save").catch(() => ({ stdout: "" }));
  return stdout
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/ \[\d+:\d+\]/g, "")
    .replaceAll(/^\*\w+\n(:\w+ ACCEPT\n)*COMMIT\n/gm, "");
}

const sysctls = async (): Promise<string> =>
  (await Promise.all(SYSCTLS.map(async (name) => `${name}=${(await readFile(`/proc/sys/${name}`, "utf8")).trim()}`))).join("\n");
