// How fast a writer is read. Taking lines apart costs this process's time, which is nobody's sandbox's: who writes faster than this is read
// later, until its pipe is full and it has to drop lines, or wait, itself. Pure but for what it remembers.

export interface PaceLimits {
  /** Line ends, empty lines included: each costs about as much as a hundred bytes. */
  lines: number;
  bytes: number;
}
/** One read costs about as much as so many lines, however little it brings: a writer of single bytes is read a thousand times a second or two. */
const LINES_PER_READ = 10;
/** What may be read at once after a rest. */
const BURST_MS = 100;

/** `limits`: a second's worth. */
export function createPace(limits: PaceLimits, now: () => number = performance.now.bind(performance)) {
  /** Until then everything that was read is paid for. */
  let paidUntil = 0;
  return {
    /** Counts what one read brought; milliseconds to rest before more is read. */
    spend(lines: number, bytes: number): number {
      const cost = Math.max((lines + LINES_PER_READ) / limits.lines, bytes / limits.bytes) * 1000;
      paidUntil = Math.max(paidUntil, now() - BURST_MS) + cost;
      return Math.max(0, paidUntil - now());
    },
  };
}
export type Pace = ReturnType<typeof createPace>;
