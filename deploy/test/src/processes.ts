// Finds the processes of one platform by their command lines, for tests that inspect or end them.
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A process's command line, with NUL between the arguments (proc(5)); empty when the process is gone. */
export function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

export function processesOf(stateDir: string) {
  /** Process id of a part (`gateway`, `control-plane`, `driver`, `egress`, `log-collector`, `postgres`); undefined while it is down. */
  function pidOf(part: string): number | undefined {
    const program = part === "postgres" ? `${stateDir}/postgres/data` : `${stateDir}/app/${part}.mjs`;
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && commandLine(name).split("\0").includes(program))
      .map(Number)[0];
  }
  return {
    pidOf,
    /** Ends a part at once and waits until the supervisor started it again. */
    async killAndWait(part: string): Promise<void> {
      const before = pidOf(part);
      if (before === undefined) throw new Error(`${part} does not run`);
      process.kill(before, "SIGKILL");
      for (let turn = 0; turn < 400; turn++) {
        const now = pidOf(part);
        if (now !== undefined && now !== before) return;
        await sleep(25);
      }
      throw new Error(`${part} was not started again`);
    },
  };
}
