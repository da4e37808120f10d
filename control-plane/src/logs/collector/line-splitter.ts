// Cuts a byte stream into lines without ever holding more than one capped line.
import { LIMITS } from "../../contract/limits.ts";

/** Calls `onLine` for each line; of a longer one only the first LIMITS.logLineBytes are kept. */
export function createLineSplitter(onLine: (line: string) => void) {
  const CAP = LIMITS.logLineBytes * 2; // a record's JSON is longer than its message
  let parts: Buffer[] = [];
  let held = 0;

  function take(chunk: Buffer): void {
    const room = CAP - held;
    if (room > 0) parts.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    held += Math.min(chunk.length, Math.max(room, 0));
  }
  function emit(): void {
    if (held > 0) onLine(Buffer.concat(parts).toString("utf8"));
    parts = [];
    held = 0;
  }
  return {
    push(chunk: Buffer): void {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        take(chunk.subarray(from, end));
        emit();
        from = end + 1;
      }
      if (from < chunk.length) take(Buffer.from(chunk.subarray(from)));
    },
    end: emit,
  };
}
