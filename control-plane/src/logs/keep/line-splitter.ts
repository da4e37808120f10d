// Cuts a byte stream into lines without ever holding more than one capped line.
import { LIMITS } from "../../contract/limits.ts";

/** Bytes of a line that are held: in any alphabet more than the text that is kept of it, so that a cut one is seen to be cut. */
const CAP = LIMITS.logLineBytes * 4;

/** A line that comes byte by byte is put together now and then: each part takes a hundred times its byte. */
const MOST_PARTS = 256;

export interface LineSink {
  /** Asked with a line's bytes, and the first part of them, before it is made a string: lines that nobody keeps must cost next to nothing. */
  admit(bytes: number, begin: Buffer): boolean;
  onLine(line: string): void;
}

/** Tells `sink` of each line that is not empty; of a longer one only the first bytes are kept. */
export function createLineSplitter(sink: LineSink) {
  let parts: Buffer[] = [];
  let held = 0;

  function take(bytes: Buffer): void {
    const kept = bytes.subarray(0, CAP - held);
    held += kept.length;
    if (kept.length > 0) parts.push(kept);
    if (parts.length === MOST_PARTS) parts = [Buffer.concat(parts)];
  }
  function emit(): void {
    if (held > 0 && sink.admit(held, parts[0]!)) sink.onLine(Buffer.concat(parts).toString("utf8"));
    parts = [];
    held = 0;
  }
  return {
    /** Returns how many line ends there were. */
    push(chunk: Buffer): number {
      let from = 0;
      let ends = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        take(chunk.subarray(from, end));
        emit();
        ends++;
        from = end + 1;
      }
      // Copied, so that the start of a line does not keep the whole chunk in memory.
      if (from < chunk.length && held < CAP) take(Buffer.from(chunk.subarray(from, from + CAP)));
      return ends;
    },
    end: emit,
  };
}
