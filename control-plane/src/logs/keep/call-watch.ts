// Looks into a sandbox's file of unimplemented system calls and tells the owner of a version once which ones it made. gVisor reports each
// number once, made-up numbers too: the file grows by 40 KB a second for who wants it to, so it is emptied when it is large.
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import type { LogChannel } from "../../contract/logs.ts";
import type { Segments } from "./segments.ts";
import { UNIMPLEMENTED, adviceOn, callsIn, namesIn } from "./unimplemented-calls.ts";

/** Longer than a report is up to the name's end: one that was cut in two is seen with the next bytes. */
const OVERLAP = 128;
/** Records of a log that are looked through for what was told before. */
const TOLD_RECORDS = 100;

/** What was told about each version; the log itself remembers it over restarts, as long as it has the record. */
export function createCallReports(segments: Pick<Segments, "append" | "read">, onError: (error: unknown) => void) {
  const versions = new Map<string, Promise<Set<string>>>();

  async function toldBefore(channel: LogChannel): Promise<Set<string>> {
    const isReport = (record: { source: string; version: number; message: string }) =>
      record.source === "platform" && record.version === channel.version && namesIn(record.message).length > 0;
    const records = await segments.read(channel, TOLD_RECORDS, undefined, isReport);
    return new Set(records.flatMap(({ message }) => namesIn(message)));
  }
  /** Those that were asked for last stay; what could not be read is asked for again, not remembered. */
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
  /** Nobody else bounds the file. */
  keepSmall: boolean;
  channel(): LogChannel | undefined;
  reports: CallReports;
}

export function createCallWatch({ file, keepSmall, channel, reports }: CallWatchInput) {
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

/** Never through a link. */
function open(file: string, toWrite: boolean): number | undefined {
  try {
    return openSync(file, (toWrite ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined; // not there yet
  }
}
