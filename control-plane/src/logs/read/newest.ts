// The newest of many records, by time, within a number and a size: what a merged read of all nodes holds at once.
import type { LogRecord } from "../../contract/logs.ts";

/** What one merged answer may hold, bytes of text: as much as one node keeps of a function. */
export interface Bounds {
  records: number;
  bytes: number;
}

export function createNewest({ records, bytes }: Bounds) {
  let held: LogRecord[] = [];
  let size = 0;
  /** Those of one time stay in the order in which they came: sequence numbers of two nodes say nothing about each other. */
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
