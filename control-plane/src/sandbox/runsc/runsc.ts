// The runsc command line (gVisor), one function for each command used.
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { exec } from "./exec.ts";

/** Oldest release that carries every fix of SECURITY 3.2 and 3.4. */
export const RUNSC_FLOOR = 20260905;
/** No device but loopback; host sockets may be bound and dialled, but only inside mounted folders (SECURITY I1). */
const FLAGS = ["--network=none", "--host-uds=all", "--platform=systrap", "--overlay2=none", "--character-device-policy=emulated-only"];
/** The longest start of one sandbox, milliseconds; seen were 300 on two shared cores, and seconds when they were busy. */
export const START_TIMEOUT_MS = 30_000;

function parseRelease(text: string): number {
  const match = /release-(\d{8})/.exec(text);
  return match === null ? 0 : Number(match[1]);
}

export interface RunOptions {
  id: string;
  bundle: string;
  pidFile: string;
  logFile: string;
  /** File to which the Sentry reports system calls that it does not implement. */
  userLog: string;
  stdout: number;
  stderr: number;
}

export function createRunsc(binary: string, root: string) {
  const base = ["--root", root];
  return {
    async release(): Promise<number> {
      return parseRelease(await exec(binary, ["--version"]));
    },
    /** Returns when the sandbox's first process runs; it goes on by itself. */
    async run(options: RunOptions): Promise<number> {
      const args = [
        ...base,
        ...FLAGS,
        "--log",
        options.logFile,
        "run",
        "--detach",
        "--user-log",
        options.userLog,
        "--bundle",
        options.bundle,
        "--pid-file",
        options.pidFile,
        options.id,
      ];
      try {
        await exec(binary, args, { timeoutMs: START_TIMEOUT_MS, stdio: ["ignore", options.stdout, options.stderr] });
      } catch (error) {
        const log = await readFile(options.logFile, "utf8").catch(() => "");
        throw new Error(`runsc did not start: ${log.slice(-2000).trim() || String(error)}`, { cause: error });
      }
      return Number(await readFile(options.pidFile, "utf8"));
    },
    /** Kills the sandbox and removes its state and cgroup; an unknown id is no error. */
    async remove(id: string): Promise<void> {
      await exec(binary, [...base, "delete", "--force", id]);
    },
    /**
     * Removes files that a killed `run` leaves and `delete` cannot remove: those that runsc makes before the state by which `delete` finds
     * a sandbox, and a state that is unreadable. Call it only after `remove`, and when no runsc process of this sandbox runs any more.
     */
    async forget(id: string): Promise<void> {
      for (const file of [`${id}_sandbox:${id}.lock`, `${id}_sandbox:${id}.state`, `runsc-${id}.sock`])
        await rm(path.join(root, file), { force: true });
    },
  };
}
export type Runsc = ReturnType<typeof createRunsc>;
