// Keeps the newest of many records, by time, within a number and a size; a merged read of all nodes holds no more than this.
import type { LogRecord } from "../../contract/logs.ts";

/** Most that one merged answer may hold, in records and bytes of text; the bytes are as many as one node keeps of a function. */
export interface Bounds {
  records: number;
  bytes: number;
}

export function createNewest({ records, bytes }: Bounds) {
  let held: LogRecord[] = [];
  let size = 0;
  /** Records with the same time stay in the order of arrival, because sequence numbers of different nodes cannot be compared. */
  function trim(): void {
    held.sort((a, b) => a.at - b.at);
    let from = held.length;
    size = 0;
    while (from > 0 && held.length - from < records && size < bytes) size += sizeOf(held[--from]);
    held = held.slice(from);
  }
  return {
    add(record: LogRecord): void {
      held.push(record);
      size += sizeOf(record);
      if (held.length > 2 * records || size > 2 * bytes) trim();
    },
    /** Oldest first. */
    all(): LogRecord[] {
      trim();
      return held;
    },
  };
}
const OVERHEAD = 200;
const sizeOf = (record: LogRecord | undefined): number => (record?.message.length ?? 0) + OVERHEAD;
