// Limits how fast a sandbox's output is read. Splitting lines costs processor time of this process, which no sandbox is charged for: output
// that comes faster is read later, until the pipe is full and the sandbox itself has to drop lines or wait. It does no input or output.

export interface PaceLimits {
  /** Line ends, empty lines included; each costs about as much time as a hundred bytes. */
  lines: number;
  bytes: number;
}
/**
 * One read costs about as much as this many lines, however few bytes it returns, so a writer of single bytes is read one or two thousand
 * times a second.
 */
const LINES_PER_READ = 10;
/** After a rest, as much as this time allows may be read at once. */
const BURST_MS = 100;

/** `limits`: what may be read in one second. */
export function createReadThrottle(limits: PaceLimits, now: () => number = performance.now.bind(performance)) {
  /** The time until which the reads so far have used up the limits. */
  let paidUntil = 0;
  return {
    /** Counts the result of one read; returns the milliseconds to rest before the next. */
    spend(lines: number, bytes: number): number {
      const cost = Math.max((lines + LINES_PER_READ) / limits.lines, bytes / limits.bytes) * 1000;
      paidUntil = Math.max(paidUntil, now() - BURST_MS) + cost;
      return Math.max(0, paidUntil - now());
    },
  };
}
export type Pace = ReturnType<typeof createReadThrottle>;
