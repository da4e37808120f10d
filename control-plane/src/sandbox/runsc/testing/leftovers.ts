// Finds remains of a sandbox on the host, in every place where there can be some; for tests.
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { cgroupRoots } from "../cgroup.ts";
import type { RunscLayout } from "../layout.ts";

/** Processes whose command line, working folder or cgroup names the sandbox. */
async function processes(id: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const texts = await Promise.all(["cmdline", "cgroup"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")));
    if (texts.some((text) => text.includes(id)) && Number(pid) !== process.pid)
      found.push(`process ${pid}: ${texts[0]?.replaceAll("\0", " ").slice(0, 100)}`);
  }
  return found;
}

export async function leftovers(layout: RunscLayout, cgroupParent: string, id: string): Promise<string[]> {
  const paths = layout.instance(id);
  const state = (await readdir(layout.runscRoot)).filter((name) => name.includes(id)).map((name) => path.join(layout.runscRoot, name));
  const parents = (await cgroupRoots()).map((root) => path.join(root, cgroupParent));
  const groups = await Promise.all(parents.map((parent) => readdir(parent, { recursive: true }).catch(() => [])));
  const cgroups = parents
    .flatMap((parent, at) => groups[at]!.map((name) => path.join(parent, name)))
    .filter((name) => path.basename(name) === id);
  const files = [paths.folder, paths.logFolder, ...state, ...cgroups].filter((file) => existsSync(file));
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(id));
  return [...(await processes(id)), ...files, ...mounts];
}
