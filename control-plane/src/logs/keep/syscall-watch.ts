// Looks into a sandbox's file of unimplemented system calls and reports once in a version's log which ones it made. gVisor reports each
// number once, made-up numbers too: a hostile function can make the file grow by 40 KB a second, so it is emptied when it is large.
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import type { LogChannel } from "../../contract/logs.ts";
import type { Segments } from "./segments.ts";
import { UNIMPLEMENTED, adviceOn, callsIn, namesIn } from "./unimplemented-calls.ts";

/**
 * Bytes that are read again: more than a report needs up to the end of the name, so a report that was cut in two is found with the next
 * bytes.
 */
const OVERLAP = 128;
/** Number of records of a log that are searched for earlier reports. */
const TOLD_RECORDS = 100;

/** Remembers which calls were reported for each version; after a restart they are read from the log, as long as it still has the record. */
export function createCallReports(segments: Pick<Segments, "append" | "read">, onError: (error: unknown) => void) {
  const versions = new Map<string, Promise<Set<string>>>();

  async function toldBefore(channel: LogChannel): Promise<Set<string>> {
    const isReport = (record: { source: string; version: number; message: string }) =>
      record.source === "platform" && record.version === channel.version && namesIn(record.message).length > 0;
    const records = await segments.read(channel, TOLD_RECORDS, undefined, isReport);
    return new Set(records.flatMap(({ message }) => namesIn(message)));
  }
  /** Keeps the versions that were used last; a log that could not be read is not remembered but read again. */
  function toldOf(channel: LogChannel): Promise<Set<string>> {
    const key = `${channel.functionId}/${channel.version}`;
    const known = versions.get(key) ?? toldBefore(channel);
    versions.delete(key);
    versions.set(key, known);
    if (versions.size > UNIMPLEMENTED.versions) versions.delete(versions.keys().next().value ?? "");
    known.catch(() => versions.get(key) === known && versions.delete(key));
    return known;
  }
  async function tell(channel: LogChannel, names: readonly string[]): Promise<void> {
    const told = await toldOf(channel);
    if (told.size >= UNIMPLEMENTED.names || names.every((name) => told.has(name))) return;
    for (const name of names) told.add(name);
    const { version, instance } = channel;
    segments.append(channel, { level: "warn", source: "platform", version, instance, message: adviceOn(names) });
  }
  return { tell: (channel: LogChannel, names: readonly string[]): void => void tell(channel, names).catch(onError) };
}
export type CallReports = ReturnType<typeof createCallReports>;

export interface CallWatchInput {
  file: string;
  /** True where nothing else limits the file's size. */
  keepSmall: boolean;
  channel(): LogChannel | undefined;
  reports: CallReports;
}

export function createSyscallWatch({ file, keepSmall, channel, reports }: CallWatchInput) {
  const names = new Set<string>();
  let fd: number | undefined;
  let offset = 0;
  let left: number = UNIMPLEMENTED.fileBytes;
  let rest = "";
  let changedAt: number | undefined;

  function read(): void {
    fd ??= open(file, keepSmall);
    if (fd === undefined) return;
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.max(0, Math.min(size - offset, left)));
    const text = rest + buffer.toString("latin1", 0, buffer.length === 0 ? 0 : readSync(fd, buffer, 0, buffer.length, offset));
    offset += buffer.length;
    left -= buffer.length;
    rest = text.slice(-OVERLAP);
    for (const name of callsIn(text)) {
      if (names.size >= UNIMPLEMENTED.names || names.has(name)) continue;
      names.add(name);
      changedAt = Date.now();
    }
    if (!keepSmall || size <= UNIMPLEMENTED.emptyAboveBytes) return;
    ftruncateSync(fd, 0); // the Sentry appends
    offset = 0;
  }
  function report(quietMs: number): void {
    const owner = channel();
    if (owner === undefined || changedAt === undefined || Date.now() - changedAt < quietMs) return;
    changedAt = undefined;
    reports.tell(owner, [...names]);
  }
  return {
    look(): void {
      read();
      report(UNIMPLEMENTED.quietMs);
    },
    close(): void {
      read();
      report(0);
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

/** Opens the file unless it is a symbolic link. */
function open(file: string, toWrite: boolean): number | undefined {
  try {
    return openSync(file, (toWrite ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined; // not there yet
  }
}
