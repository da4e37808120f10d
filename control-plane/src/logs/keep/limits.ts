// Numbers of the log collector.
export const COLLECTOR = {
  /** One segment file; a function keeps as many as LIMITS.logBytesPerFunction allows. */
  segmentBytes: 1024 * 1024,
  /** Bytes an instance may write in a second before its lines are counted instead of kept. */
  bytesPerSecond: 1024 * 1024,
  /** Most that is read in a second, kept or counted, of one instance and of all instances of a tenant (`pace.ts`). */
  readInstance: { lines: 20_000, bytes: 4 * 1024 * 1024 },
  readTenant: { lines: 100_000, bytes: 16 * 1024 * 1024 },
  /** Lines that are kept above an instance's rate in a second, only for requests that wrote no more than `ownLines` in that second. */
  reserve: { lines: 500, bytes: 256 * 1024, ownLines: 50 },
  /** Records wait at most this long to be written together. */
  flushMs: 50,
  /** New pipes are noticed by inotify; in case a notice is lost, the folder is read again this often. */
  rescanMs: 2_000,
  /** A sandbox whose pipes are not all made yet is looked at again after this. */
  retryMs: 50,
  /** A following reader is cut off when more bytes than this wait to be sent to it. */
  followBacklogBytes: 4 * 1024 * 1024,
  /** A following reader is cut off when this many new records arrive before it has read the records that were kept already. */
  followLateRecords: 10_000,
} as const;
