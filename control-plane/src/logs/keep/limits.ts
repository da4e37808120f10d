// Numbers of the log collector.
export const COLLECTOR = {
  /** One segment file; a function keeps as many as LIMITS.logBytesPerFunction allows. */
  segmentBytes: 1024 * 1024,
  /** Bytes an instance may write in a second before its lines are counted instead of kept. */
  bytesPerSecond: 1024 * 1024,
  /** What is read of one instance in a second, kept or counted, and of all instances of a tenant (`pace.ts`). */
  readInstance: { lines: 20_000, bytes: 4 * 1024 * 1024 },
  readTenant: { lines: 100_000, bytes: 16 * 1024 * 1024 },
  /** Lines of a second that are kept above an instance's most, of requests that wrote no more than `ownLines` in it. */
  reserve: { lines: 500, bytes: 256 * 1024, ownLines: 50 },
  /** Records wait at most this long to be written together. */
  flushMs: 50,
  /** New pipes are noticed by inotify, and by this look should a notice be lost. */
  rescanMs: 2_000,
  /** A sandbox whose pipes are half made is looked at again after this. */
  retryMs: 50,
  /** A reader that follows is cut off when this much waits for it. */
  followBacklogBytes: 4 * 1024 * 1024,
  /** And when so many new records come while it has not taken what was kept before. */
  followLateRecords: 10_000,
} as const;
