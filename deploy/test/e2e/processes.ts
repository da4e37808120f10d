// Finds the platform's own processes by their command lines, for tests that inspect or end them.
import { readFileSync } from "node:fs";
import { readSettings } from "../../single/src/settings.ts";
import { processesOf } from "../src/processes.ts";
import { api, stateDir } from "./api.ts";

/** Folder where this platform keeps sockets, sandboxes and pipes, and its mark. */
export const { runDir, mark } = readSettings({ FNCTL_STATE_DIR: stateDir });

export { commandLine } from "../src/processes.ts";
export const { pidOf, killAndWait } = processesOf(stateDir);

/** Real uid, as the kernel says it (proc(5), status). */
export function uidOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Ids of the instances that serve a function. */
export async function instancesOf(name: string): Promise<string[]> {
  const answer = await api("GET", `/v1/functions/${name}`);
  return ((await answer.json()) as { instances: { id: string }[] }).instances.map((instance) => instance.id);
}
