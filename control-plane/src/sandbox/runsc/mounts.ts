// Mounts of the runsc driver, by mount(8) and umount(8): Node has no mount call.
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { exec } from "./exec.ts";

/** SECURITY I1: a full socket folder costs the host 256 KiB and 32 inodes. */
const BOX_OPTIONS = "size=256k,nr_inodes=32,mode=0711,nosuid,nodev,noexec";
/** About 20 KiB for each instance: its bundle, record and log of runsc. */
const INSTANCES_OPTIONS = "size=256m,mode=0711,nosuid,nodev,noexec";

interface Mount {
  target: string;
  /** Number of its peer group, when it is shared (mount_namespaces(7)). */
  peers: string | undefined;
}

/** This host's mounts, as the kernel lists them (proc(5), mountinfo; octal escapes undone). */
async function mounts(): Promise<Mount[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  const unescape = (field: string) =>
    field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)));
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => ({ target: unescape(line.split(" ")[4] ?? ""), peers: / shared:(\d+)(?= .*- )/.exec(line)?.[1] }));
}

export const mountPoints = async (): Promise<Set<string>> => new Set((await mounts()).map(({ target }) => target));

/** Whether `target` shows `source` already; cheaper than the list of all mounts. */
export async function isBound(source: string, target: string): Promise<boolean> {
  const [from, to] = await Promise.all([stat(source), stat(target)]);
  return from.dev === to.dev && from.ino === to.ino;
}

export const mountTmpfs = (target: string): Promise<string> => exec("mount", ["-t", "tmpfs", "-o", BOX_OPTIONS, "fnctl", target]);
/** Without what takes time and serves nobody here: helpers, /etc/mtab, canonical paths (mount(8)). */
export const BIND_FLAGS = ["--internal-only", "--no-mtab", "--no-canonicalize", "--bind"];
export const bindMount = (source: string, target: string): Promise<string> => exec("mount", [...BIND_FLAGS, source, target]);
export const unmount = (target: string): Promise<string> => exec("umount", ["--lazy", target]);

/**
 * Makes `folder` a file system of its own, in memory, whose later mounts reach the sandboxes that hold it as a slave. One that is so
 * already is left as it is: a new peer group would cut off every sandbox that runs. In memory, because what is in it means nothing after
 * a reboot, and on a disk a rename was seen to take 600 ms in the middle of a cold start.
 */
export async function makeShared(folder: string): Promise<void> {
  const all = await mounts();
  const own = all.find(({ target }) => target === folder);
  if (own?.peers !== undefined && !all.some(({ target, peers }) => target !== folder && peers === own.peers)) return;
  if (own === undefined) await exec("mount", ["-t", "tmpfs", "-o", INSTANCES_OPTIONS, "fnctl", folder]);
  await exec("mount", ["--make-private", folder]); // out of the host's own peer group first
  await exec("mount", ["--make-shared", folder]);
}

/** A read-only view of `source` at `target`. */
export async function readOnlyView(source: string, target: string): Promise<void> {
  if (!(await mountPoints()).has(target)) await bindMount(source, target);
  // Again for one that is there: who made it may have been killed before this line.
  await exec("mount", ["-o", "remount,bind,ro,nosuid,nodev", target]);
}

/**
 * runsc --network=none pins an empty network namespace as `<root>/null-netns`, and nobody unmounts it; runsc makes it anew when it is
 * not there. Concurrent starts may have stacked several.
 */
export async function releaseNullNetns(runscRoot: string): Promise<void> {
  const target = path.join(runscRoot, "null-netns");
  while ((await mountPoints()).has(target)) await unmount(target);
}
