// Reads the CRI log format (kubernetes/community, contributors/design-proposals/node/kubelet-cri-logging.md) as the kubelet's files have
// it: `<RFC 3339 time> <stdout|stderr> <tags> <text>`. A line of the container longer than the runtime's buffer is split into parts (`P`),
// and its last part is marked full (`F`). The reader holds at most a header and, in the splitters, one capped line of each stream.
import { createLineSplitter, type LineSink } from "../keep/line-splitter.ts";
import { AGENT } from "./limits.ts";

type Source = "stdout" | "stderr";
interface Header {
  source: Source;
  at: number;
  partial: boolean;
}
const HEADER = /^(\S+) (stdout|stderr) ([A-Z][^ ]*) $/;
const [SPACE, LINE_FEED] = [32, 10];

export interface CriSinks {
  stdout: LineSink;
  stderr: LineSink;
}

/**
 * `onTime` is called before each line with the time it was written, milliseconds since the epoch. `start`: offset in the file of the first
 * byte.
 */
export function createCriReader(sinks: CriSinks, onTime: (at: number) => void, start = 0) {
  const streams = { stdout: createLineSplitter(sinks.stdout), stderr: createLineSplitter(sinks.stderr) };
  /** For each stream with an unfinished line, the offset at which that line began. */
  const parts: Partial<Record<Source, number>> = {};
  let offset = start;
  let lineStart = start;
  let header: Buffer = Buffer.alloc(0);
  /** Header of the line that is being read; null: the line has no valid header and is skipped. */
  let current: Header | null | undefined;

  const begun = () => Object.values(parts).filter((from) => offset - from <= AGENT.partsBytes);

  /** Consumes bytes of the header; returns how many. */
  function takeHeader(chunk: Buffer): number {
    const before = header.length;
    header = Buffer.concat([header, chunk.subarray(0, AGENT.headerBytes - before)]);
    const end = headerEnd(header);
    const feed = header.indexOf(LINE_FEED);
    if (feed >= 0 && (end < 0 || feed < end)) return skipLine(feed - before);
    if (end >= 0) current = parseHeader(header.toString("latin1", 0, end));
    else if (header.length >= AGENT.headerBytes) current = null;
    else return chunk.length;
    header = Buffer.alloc(0);
    return (end >= 0 ? end : AGENT.headerBytes) - before;
  }
  /** Handles a line that ends within its header; its line feed is left for the text. */
  function skipLine(length: number): number {
    header = Buffer.alloc(0);
    current = null;
    return Math.max(0, length);
  }

  function takeText(chunk: Buffer): number {
    const feed = chunk.indexOf(LINE_FEED);
    const text = feed < 0 ? chunk : chunk.subarray(0, feed);
    if (current != null) {
      onTime(current.at);
      // Only the line feed of a full line ends the container's line.
      streams[current.source].push(feed < 0 || current.partial ? text : chunk.subarray(0, feed + 1));
    }
    if (feed < 0) return chunk.length;
    endLine(offset + feed + 1);
    return feed + 1;
  }
  function endLine(next: number): void {
    if (current?.partial === true) parts[current.source] ??= lineStart;
    else if (current != null) delete parts[current.source];
    current = undefined;
    lineStart = next;
  }

  return {
    push(chunk: Buffer): void {
      for (let rest = chunk; rest.length > 0;) {
        const taken = current === undefined ? takeHeader(rest) : takeText(rest);
        offset += taken;
        rest = rest.subarray(taken);
      }
    },
    /** Offset from which a new reader must start to get everything that has not become a line yet. */
    resumeAt: () => Math.min(lineStart, ...begun()),
    /** Whether a line has begun of which only parts were read; `resumeAt` may then be before lines that are complete. */
    waits: () => begun().length > 0,
    /** The next bytes come from another file or another place in this one; unfinished lines continue there. */
    moveTo(next: number): void {
      [offset, lineStart, current, header] = [next, next, undefined, Buffer.alloc(0)];
      for (const source of ["stdout", "stderr"] as const) if (parts[source] !== undefined) parts[source] = next;
    },
    /** The next bytes are in the middle of a line: everything up to the next line feed is skipped. */
    skipToLine(): void {
      current = null;
    },
    /** The input has ended: unfinished lines are passed on as they are. */
    end(): void {
      streams.stdout.end();
      streams.stderr.end();
    },
  };
}
export type CriReader = ReturnType<typeof createCriReader>;

/** Index after the third space, where the header ends; -1 if it is not complete. */
function headerEnd(bytes: Buffer): number {
  let end = -1;
  for (let count = 0; count < 3; count++) {
    end = bytes.indexOf(SPACE, end + 1);
    if (end < 0) return -1;
  }
  return end + 1;
}

function parseHeader(text: string): Header | null {
  const [, time = "", source, tags = ""] = HEADER.exec(text) ?? [];
  const at = Date.parse(time);
  if (source === undefined || Number.isNaN(at)) return null;
  const [tag] = tags.split(":");
  return { source: source as Source, at, partial: tag === "P" };
}
