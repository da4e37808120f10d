// The log of each function: ND-JSON segments on disk, `<tenant>/<function>/<first sequence number>.ndjson`. The oldest go first when
// there are too many, so one function's flood never costs another's lines.
import { appendFile, mkdir, readFile, readdir, rm, stat } from "node:fs/promises";
import { EventEmitter } from "node:events";
import path from "node:path";
import { LIMITS } from "../../contract/limits.ts";
import type { LogRecord } from "../../contract/logs.ts";
import type { Draft } from "./parse-record.ts";
import { COLLECTOR } from "./limits.ts";

export interface Owner {
  tenantId: string;
  functionId: string;
}
interface Log {
  owner: Owner;
  folder: string;
  waiting: LogRecord[];
  /** Size of the waiting records, about, in bytes. */
  waitingBytes: number;
  /** Number of lines that could not be written and that no record in the log reports yet. */
  lost: number;
  writing: Promise<void>;
  timer: NodeJS.Timeout | undefined;
  segment: Segment | undefined;
  /**
   * For segments that were read and no longer grow, the time of the newest line, milliseconds since the epoch. A segment's name does not
   * give that time: it counts up from when its process began, and clocks can be set back.
   */
  newestIn: Map<string, number>;
}
interface Segment {
  file: string;
  bytes: number;
  /**
   * Its last line may be half written; the next write then begins with a line feed, or its first line would be lost together with the half
   * one.
   */
  torn: boolean;
}
const SEGMENTS = Math.floor(LIMITS.logBytesPerFunction / COLLECTOR.segmentBytes);
const SEGMENTS_PER_TENANT = Math.floor(LIMITS.logBytesPerTenant / COLLECTOR.segmentBytes);

export function createSegments(root: string, onError: (error: unknown) => void) {
  const logs = new Map<string, Log>();
  const counts = new Map<string, Map<string, number>>();
  const news = new EventEmitter().setMaxListeners(0);
  // Grows over restarts too, because it begins at the time in microseconds.
  let seq = Date.now() * 1000;
  const nameOf = ({ tenantId, functionId }: Owner) => `${tenantId}/${functionId}`;

  function logOf(owner: Owner): Log {
    const name = nameOf(owner);
    const known = logs.get(name);
    if (known !== undefined) return known;
    const log: Log = {
      owner,
      folder: path.join(root, name),
      waiting: [],
      waitingBytes: 0,
      lost: 0,
      writing: Promise.resolve(),
      timer: undefined,
      segment: undefined,
      newestIn: new Map(),
    };
    logs.set(name, log);
    return log;
  }

  async function openSegment(log: Log, first: number): Promise<Segment> {
    if (log.segment !== undefined && log.segment.bytes < COLLECTOR.segmentBytes) return log.segment;
    await mkdir(log.folder, { recursive: true, mode: 0o700 });
    const names = await segmentNames(log.folder);
    const newest = names.at(-1);
    const size = newest === undefined ? 0 : (await stat(path.join(log.folder, newest))).size;
    if (log.segment === undefined && newest !== undefined && size < COLLECTOR.segmentBytes)
      return { file: path.join(log.folder, newest), bytes: size, torn: true };
    for (const old of names.slice(0, Math.max(0, names.length - SEGMENTS + 1))) {
      log.newestIn.delete(old);
      await rm(path.join(log.folder, old), { force: true });
    }
    await makeRoom(log.owner);
    // The number is above the newest segment's even when the clock was set back, because the names decide which segment is the oldest.
    const name = newest === undefined ? first : Math.max(first, Number.parseInt(newest, 10) + 1);
    return { file: path.join(log.folder, `${name}.ndjson`), bytes: 0, torn: false };
  }

  /** Number of segments of each function of a tenant; read from disk once and then kept up to date. */
  async function countsOf(tenantId: string): Promise<Map<string, number>> {
    const known = counts.get(tenantId);
    if (known !== undefined) return known;
    const folder = path.join(root, tenantId);
    const found = await Promise.all(
      (await readdir(folder).catch(() => [])).map(async (id) => [id, (await segmentNames(path.join(folder, id))).length] as const),
    );
    const fresh = new Map(found);
    counts.set(tenantId, fresh);
    return fresh;
  }
  /** Deletes old segments of the tenant until one more segment of this function fits. */
  async function makeRoom(owner: Owner): Promise<void> {
    const count = await countsOf(owner.tenantId);
    count.set(owner.functionId, (await segmentNames(path.join(root, nameOf(owner)))).length + 1);
    while ([...count.values()].reduce((sum, segments) => sum + segments, 0) > SEGMENTS_PER_TENANT) {
      const [functionId, segments] = [...count].reduce((most, one) => (one[1] > most[1] ? one : most));
      const folder = path.join(root, nameOf({ ...owner, functionId }));
      const [oldest] = await segmentNames(folder);
      count.set(functionId, segments - 1);
      if (oldest === undefined) continue;
      logs.get(nameOf({ ...owner, functionId }))?.newestIn.delete(oldest);
      await rm(path.join(folder, oldest), { force: true });
    }
  }

  async function readSegment(log: Log, name: string): Promise<LogRecord[]> {
    const file = path.join(log.folder, name);
    const records = parseSegment(await readFile(file, "utf8").catch(() => ""));
    // A segment that may still grow, as the newest does after a restart, is read every time.
    if (log.segment !== undefined && log.segment.file !== file)
      log.newestIn.set(
        name,
        records.reduce((newest, { at }) => Math.max(newest, at), 0),
      );
    return records;
  }

  async function write(log: Log): Promise<void> {
    const lines = log.waiting.map(toLine);
    const newest = log.waiting.at(-1);
    log.waiting = [];
    log.waitingBytes = 0;
    // The record about lost lines is numbered now, so that a reader that has it gets all later records when it asks for newer ones.
    const told = newest === undefined ? 0 : log.lost;
    if (newest !== undefined && told > 0) lines.push(toLine(lossOf(newest, told, ++seq)));
    try {
      await writeLines(log, lines);
      log.lost -= told;
    } catch (error) {
      // The lines still in the list are counted as lost and dropped, because a full disk must not fill the memory.
      log.lost += lines.length - (told > 0 ? 1 : 0);
      throw error;
    }
  }
  /** Removes each line from `lines` once it is written. */
  async function writeLines(log: Log, lines: Line[]): Promise<void> {
    while (lines.length > 0) {
      const segment = await openSegment(log, lines[0]?.seq ?? 0);
      log.segment = segment;
      const { count, text } = fitting(lines, COLLECTOR.segmentBytes - segment.bytes);
      const { torn } = segment;
      segment.torn = true; // stays set if the write fails half-way
      await appendFile(segment.file, torn ? `\n${text}` : text, { mode: 0o600 });
      lines.splice(0, count);
      segment.torn = false;
      segment.bytes += Buffer.byteLength(text);
    }
  }

  function flush(log: Log): Promise<void> {
    clearTimeout(log.timer);
    log.timer = undefined;
    log.writing = log.writing.then(() => write(log)).catch(onError);
    return log.writing;
  }

  return {
    /** `at`: when the line was written, milliseconds since the epoch. */
    append(owner: Owner, draft: Draft, at = Date.now()): void {
      const record: LogRecord = { ...draft, at, seq: ++seq };
      const log = logOf(owner);
      log.waiting.push(record);
      log.waitingBytes += record.message.length;
      if (log.waitingBytes > 2 * LIMITS.logBytesPerFunction) dropOldest(log);
      log.timer ??= setTimeout(() => void flush(log), COLLECTOR.flushMs);
      news.emit(nameOf(owner), record);
    },
    /** Sequence number of the newest record. */
    lastSeq: () => seq,
    /**
     * Records oldest first, from the newest segments backwards until `limit` are found. `keep` selects records; segments with nothing newer
     * than `sinceMs` are skipped.
     */
    async read(owner: Owner, limit: number, sinceMs: number | undefined, keep: (record: LogRecord) => boolean): Promise<LogRecord[]> {
      const log = logOf(owner);
      await flush(log);
      const found: LogRecord[][] = [];
      let count = 0;
      for (const name of (await segmentNames(log.folder)).toReversed()) {
        if (sinceMs !== undefined && (log.newestIn.get(name) ?? Number.POSITIVE_INFINITY) < sinceMs) continue;
        const records = (await readSegment(log, name)).filter(keep);
        found.unshift(records.slice(-(limit - count)));
        count += Math.min(records.length, limit - count);
        if (count >= limit) break;
      }
      return found.flat();
    },
    follow(owner: Owner, onRecord: (record: LogRecord) => void): () => void {
      news.on(nameOf(owner), onRecord);
      return () => void news.off(nameOf(owner), onRecord);
    },
    /** All functions that have a log. */
    async owners(): Promise<Owner[]> {
      const found: Owner[] = [];
      for (const tenantId of await readdir(root))
        for (const functionId of await readdir(path.join(root, tenantId)).catch(() => [])) found.push({ tenantId, functionId });
      return found;
    },
    async remove(owner: Owner): Promise<void> {
      const log = logOf(owner);
      await flush(log);
      logs.delete(nameOf(owner));
      counts.delete(owner.tenantId);
      await rm(log.folder, { recursive: true, force: true });
    },
    /** Resolves when everything that was appended before is on disk, or has failed to be written. */
    async settle(): Promise<void> {
      await Promise.all([...logs.values()].filter(({ waiting, timer }) => waiting.length > 0 || timer !== undefined).map(flush));
      await Promise.all([...logs.values()].map(({ writing }) => writing));
    },
  };
}
export type Segments = ReturnType<typeof createSegments>;

/** A disk that does not respond must not fill the memory: of the waiting records the newest are kept, as on disk. */
function dropOldest(log: Log): void {
  let from = log.waiting.length;
  log.waitingBytes = 0;
  while (from > 0 && log.waitingBytes < LIMITS.logBytesPerFunction) log.waitingBytes += log.waiting[--from]?.message.length ?? 0;
  log.waiting.splice(0, from);
}

interface Line {
  seq: number;
  text: string;
}
const lossOf = ({ version, instance }: LogRecord, count: number, seq: number): LogRecord => {
  const message = `${count} lines lost: they could not be written to the disk`;
  return { level: "warn", source: "platform", version, instance, message, at: Date.now(), seq };
};
const toLine = (record: LogRecord): Line => ({ seq: record.seq, text: `${JSON.stringify(record)}\n` });

/** As many of the first lines as fill `room` bytes, and at least one, so a segment exceeds its size by one record at most. */
function fitting(lines: readonly Line[], room: number): { count: number; text: string } {
  let count = 0;
  for (let bytes = 0; count < lines.length && bytes < room; count++) bytes += Buffer.byteLength(lines[count]?.text ?? "");
  count = Math.max(count, 1);
  const text = lines
    .slice(0, count)
    .map((line) => line.text)
    .join("");
  return { count, text };
}

async function segmentNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(".ndjson")).toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}

/** A line cut off by a crash in the middle of a write is skipped. */
function parseSegment(text: string): LogRecord[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as LogRecord];
    } catch {
      return [];
    }
  });
}
