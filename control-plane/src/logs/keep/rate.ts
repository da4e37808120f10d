// Limits how many lines and bytes of an instance's output are kept in a second; lines above that are counted, and a record says how many
// were dropped. One request that writes without end uses the limit up, so a few lines of each other request are kept beyond it.
import { LIMITS } from "../../contract/limits.ts";
import { RECORD_MARK } from "../../contract/logs.ts";
import { COLLECTOR } from "./limits.ts";

const MARK = RECORD_MARK.charCodeAt(0);
/**
 * A bootstrap puts the request id after mark and level. A function may write lines with any id itself, but that costs only its own lines.
 */
const REQUEST = /^.\{"l":"[a-z]{1,8}","r":"([A-Za-z0-9._-]{8,64})"/;
const PREFIX_BYTES = 100;
/** Number of requests that are counted separately within a second. */
const REQUESTS = 1_000;

export function createKeepLimit(now: () => number = Date.now) {
  let second = 0;
  let lines = 0;
  let bytes = 0;
  let dropped = 0;
  const ofRequest = new Map<string, number>();

  function begin(current: number): void {
    second = current;
    lines = 0;
    bytes = 0;
    ofRequest.clear();
  }
  /** Lines of the same request in this second, this one included. */
  function count(request: string): number {
    const own = (ofRequest.get(request) ?? 0) + 1;
    if (own > 1 || ofRequest.size < REQUESTS) ofRequest.set(request, own);
    return own;
  }
  function isKept(size: number, request: string): boolean {
    const own = count(request);
    if (lines + 1 <= LIMITS.logLinesPerSecond && bytes + size <= COLLECTOR.bytesPerSecond) return true;
    const { reserve } = COLLECTOR;
    const fits = lines + 1 <= LIMITS.logLinesPerSecond + reserve.lines && bytes + size <= COLLECTOR.bytesPerSecond + reserve.bytes;
    return fits && request !== "" && own <= reserve.ownLines;
  }
  return {
    /** Whether a line of `size` bytes is kept; `begun` is the first part of it. */
    admit(size: number, begun?: Buffer): boolean {
      const current = Math.floor(now() / 1000);
      if (current !== second) begin(current);
      if (!isKept(size, begun === undefined ? "" : requestOf(begun))) {
        dropped++;
        return false;
      }
      lines++;
      bytes += size;
      return true;
    },
    /** Number of lines dropped since the last call. */
    takeDropped(): number {
      const taken = dropped;
      dropped = 0;
      return taken;
    },
  };
}

/** The request id of a line; empty if it has none. */
function requestOf(begin: Buffer): string {
  if (begin[0] !== MARK) return "";
  return REQUEST.exec(begin.toString("latin1", 0, PREFIX_BYTES))?.[1] ?? "";
}
