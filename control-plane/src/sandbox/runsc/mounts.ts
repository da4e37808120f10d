// Mounts of the runsc driver, by mount(8) and umount(8): Node has no mount call.
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { exec } from "./exec.ts";

/** SECURITY I1: a full socket folder costs the host at most 256 KiB and 32 inodes. */
const BOX_OPTIONS = "size=256k,nr_inodes=32,mode=0711,nosuid,nodev,noexec";
/** Each sandbox needs about 20 KiB here, for its bundle, its record and runsc's log. */
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

/** Whether `source` is bound at `target` already; cheaper than reading the list of all mounts. */
export async function isBound(source: string, target: string): Promise<boolean> {
  const [from, to] = await Promise.all([stat(source), stat(target)]);
  return from.dev === to.dev && from.ino === to.ino;
}

export const mountTmpfs = (target: string): Promise<string> => exec("mount", ["-t", "tmpfs", "-o", BOX_OPTIONS, "fnctl", target]);
/** These turn off steps of mount(8) that take time and are not needed here: helpers, /etc/mtab, canonical paths. */
export const BIND_FLAGS = ["--internal-only", "--no-mtab", "--no-canonicalize", "--bind"];
export const bindMount = (source: string, target: string): Promise<string> => exec("mount", [...BIND_FLAGS, source, target]);
export const unmount = (target: string): Promise<string> => exec("umount", ["--lazy", target]);

/**
 * Makes `folder` a file system of its own whose later mounts propagate to sandboxes that have it mounted as a slave. A folder that is one
 * already is left as it is: a new peer group would cut off every running sandbox. The file system is in memory, because its contents are
 * useless after a reboot, and on a disk a rename was seen to take 600 ms in the middle of a cold start.
 */
export async function makeShared(folder: string): Promise<void> {
  const all = await mounts();
  const own = all.find(({ target }) => target === folder);
  if (own?.peers !== undefined && !all.some(({ target, peers }) => target !== folder && peers === own.peers)) return;
  if (own === undefined) await exec("mount", ["-t", "tmpfs", "-o", INSTANCES_OPTIONS, "fnctl", folder]);
  await exec("mount", ["--make-private", folder]); // leave the host's own peer group first
  await exec("mount", ["--make-shared", folder]);
}

/** Binds `source` read-only at `target`. */
export async function readOnlyView(source: string, target: string): Promise<void> {
  if (!(await mountPoints()).has(target)) await bindMount(source, target);
  // Done even if the mount exists: the process that made it may have been killed before this line.
  await exec("mount", ["-o", "remount,bind,ro,nosuid,nodev", target]);
}

/**
 * Unmounts the empty network namespace that runsc --network=none pins as `<root>/null-netns` and never unmounts; runsc makes it anew when
 * it is missing. Concurrent starts may have stacked several mounts.
 */
export async function releaseNullNetns(runscRoot: string): Promise<void> {
  const target = path.join(runscRoot, "null-netns");
  while ((await mountPoints()).has(target)) await unmount(target);
}
