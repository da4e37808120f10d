// Finds out whether a process that is not our child still runs, because sandboxes outlive the driver that started them.
import { readFileSync } from "node:fs";

/** Clock ticks after boot when the process started (proc(5), stat field 22), or undefined if it is gone or a zombie. */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Compares the start time, too, because another process may have got the same pid later. */
export function isAlive(pid: number, ticks: string): boolean {
  return startTicks(pid) === ticks;
}
