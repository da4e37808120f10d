// Cuts a byte stream into lines without ever holding more than one capped line.
import { LIMITS } from "../../contract/limits.ts";

/** Bytes of a line that are held: in any alphabet this is more than the text that is kept, so that a cut line is recognised as cut. */
const CAP = LIMITS.logLineBytes * 4;

/** Most parts of a line before they are joined: when a line comes byte by byte, each part takes a hundred times its byte in memory. */
const MOST_PARTS = 256;

export interface LineSink {
  /**
   * Decides about a line by its size and its first bytes, before it becomes a string: lines that are not kept must cost next to nothing.
   */
  admit(bytes: number, begin: Buffer): boolean;
  onLine(line: string): void;
}

/** Passes each line that is not empty to `sink`; of a line longer than CAP only the first bytes. */
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
