// The platform's own processes, found by what they were started with, for tests that look at them or end them.
import { readFileSync, readdirSync } from "node:fs";
import { readSettings } from "../../single/src/settings.ts";
import { api, stateDir } from "./api.ts";

/** Where this platform keeps sockets, instances and pipes. */
export const { runDir, mark } = readSettings({ FNCTL_STATE_DIR: stateDir });

/** Process id of a part (`gateway`, `control-plane`, `driver`, `egress`, `log-collector`, `postgres`); undefined while it is down. */
export function pidOf(part: string): number | undefined {
  const program = part === "postgres" ? `${stateDir}/postgres/data` : `${stateDir}/app/${part}.mjs`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandLine(name).split("\0").includes(program))
    .map(Number)[0];
}

/** With NUL between the arguments (proc(5)); empty when the process is gone. */
export function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** Real uid, as the kernel says it (proc(5), status). */
export function uidOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Ends a part at once and waits until the supervisor started it again. */
export async function killAndWait(part: string): Promise<void> {
  const before = pidOf(part);
  if (before === undefined) throw new Error(`${part} does not run`);
  process.kill(before, "SIGKILL");
  for (let turn = 0; turn < 400; turn++) {
    const now = pidOf(part);
    if (now !== undefined && now !== before) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${part} was not started again`);
}

/** Ids of the instances that serve a function. */
export async function instancesOf(name: string): Promise<string[]> {
  const answer = await api("GET", `/v1/functions/${name}`);
  return ((await answer.json()) as { instances: { id: string }[] }).instances.map((instance) => instance.id);
}
