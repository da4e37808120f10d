// The runsc command line (gVisor), one function per verb used.
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { exec } from "./exec.ts";

/** Oldest release that carries every fix of SECURITY 3.2 and 3.4. */
export const RUNSC_FLOOR = 20260905;
/** No device but loopback; host sockets may be bound and dialled, but only inside mounted folders (SECURITY I1). */
const FLAGS = ["--network=none", "--host-uds=all", "--platform=systrap", "--overlay2=none", "--character-device-policy=emulated-only"];
/** Start of one sandbox, milliseconds; seen: 300 on two shared cores, seconds when they are busy. */
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
  /** Where the Sentry tells of system calls that it does not implement. */
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
    /** Kills what runs and removes its state and cgroup; an unknown id is no error. */
    async remove(id: string): Promise<void> {
      await exec(binary, [...base, "delete", "--force", id]);
    },
    /**
     * Removes the files that runsc makes before the state it finds a sandbox by, and a state that it cannot read: a `run` that was killed
     * meanwhile leaves them, and `delete` does not know the id, or refuses. Only after `remove`, and when no runsc of this sandbox runs any more.
     */
    async forget(id: string): Promise<void> {
      for (const file of [`${id}_sandbox:${id}.lock`, `${id}_sandbox:${id}.state`, `runsc-${id}.sock`])
        await rm(path.join(root, file), { force: true });
    },
  };
}
export type Runsc = ReturnType<typeof createRunsc>;
