// How much of an instance's output is kept: so many lines and bytes a second; what is above is counted and named.
import { LIMITS } from "../../contract/limits.ts";
import { COLLECTOR } from "./limits.ts";

export function createRate(now: () => number = Date.now) {
  let second = 0;
  let lines = 0;
  let bytes = 0;
  let dropped = 0;
  return {
    /** Whether a line of so many bytes is kept. */
    admit(size: number): boolean {
      const current = Math.floor(now() / 1000);
      if (current !== second) {
        second = current;
        lines = 0;
        bytes = 0;
      }
      lines++;
      bytes += size;
      if (lines <= LIMITS.logLinesPerSecond && bytes <= COLLECTOR.bytesPerSecond) return true;
      dropped++;
      return false;
    },
    /** How many were dropped since the last call. */
    takeDropped(): number {
      const count = dropped;
      dropped = 0;
      return count;
    },
  };
}
