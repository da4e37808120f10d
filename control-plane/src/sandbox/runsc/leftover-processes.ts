// Finds and kills processes of a start that was cut off: `runsc run` goes on when the driver that called it is killed, and so do the
// processes that it started before they entered their cgroup.
import { readFile, readdir, readlink, realpath } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 5;

/** Processes of this runsc binary whose command line names the sandbox; an operator's `tail` of its log is left alone. */
async function leftoversOf(id: string, binary: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const checked = await Promise.all(
    pids.map(async (pid) => {
      const [line, program] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
        readlink(`/proc/${pid}/exe`).catch(() => ""),
      ]);
      return line.includes(id) && program === binary ? [Number(pid)] : [];
    }),
  );
  return checked.flat();
}

/** Resolves when no process of the sandbox is left. */
export async function killLeftovers(id: string, binary: string): Promise<void> {
  const program = await realpath(binary);
  for (let pids = await leftoversOf(id, program); pids.length > 0; pids = await leftoversOf(id, program)) {
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // the process is gone already
      }
    }
    await sleep(POLL_MS);
  }
}
