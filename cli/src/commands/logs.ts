import { setTimeout as sleep } from "node:timers/promises";
import { logRecordSchema, type LogRecord } from "@fnctl/control-plane/contract/logs";
import { requestIdSchema } from "@fnctl/control-plane/contract/names";
import { networkError, type ApiClient } from "../api/client.ts";
import { jsonLines } from "../api/ndjson.ts";
import { functionPath } from "../api/resources.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { functionName } from "../project/load-project.ts";
import { parseDuration } from "../project/units.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { printable, printableJson } from "../terminal/printable.ts";
import { colourWanted, createStyle } from "../terminal/style.ts";

interface Flags extends GlobalFlags {
  follow?: boolean;
  requestId?: string;
  since?: string;
  version?: string;
  limit: string;
}
const RECONNECT_MS = 1000;

export const logs: Register = (program, io) => {
  addCommand(program, "logs", "print a function's last log lines, or follow them")
    .argument("[name]", "the function; absent: that of fnctl.yaml")
    .option("-f, --follow", "go on until Ctrl-C")
    .option("--request-id <id>", "only lines of this request")
    .option("--since <time>", "only lines since then: 10m, 2h or an ISO time")
    .option("--version <number>", "only lines of this version")
    .option("-n, --limit <count>", "at most so many lines", "100")
    .action(async (name: string | undefined, flags: Flags) =>
      run(createSession(io, flags), await functionName(io.cwd, name, "logs"), flags),
    );
};

function toQuery(flags: Flags, now: number): URLSearchParams {
  const query = new URLSearchParams({ limit: flags.limit });
  if (!/^[1-9]\d{0,4}$/.test(flags.limit) || Number(flags.limit) > 10_000)
    throw usage(`--limit is from 1 to 10000, not ${flags.limit}.`, "fnctl logs --limit 100");
  if (flags.requestId !== undefined) query.set("requestId", checkedRequestId(flags.requestId));
  if (flags.since !== undefined) query.set("since", String(sinceMs(flags.since, now)));
  const version = /^v?([1-9]\d*)$/.exec(flags.version ?? "1");
  if (version === null) throw usage(`Not the number of a version: ${flags.version}`, "fnctl versions");
  if (flags.version !== undefined) query.set("version", version[1] ?? "");
  return query;
}

function checkedRequestId(id: string): string {
  if (!requestIdSchema.safeParse(id).success) throw usage(`Not a request id: ${id}`, "fnctl logs --request-id ID");
  return id;
}

function sinceMs(text: string, now: number): number {
  const ago = parseDuration(text);
  const time = ago === undefined ? Date.parse(text) : now - ago;
  if (Number.isNaN(time)) throw usage(`--since is not a time: ${text}`, "fnctl logs --since 10m");
  return time;
}

async function run(session: Session, name: string, flags: Flags): Promise<void> {
  const api = await session.api();
  const query = toQuery(flags, Date.now());
  const print = printer(session);
  if (flags.follow === true) return follow(session, api, name, query, print);
  let count = 0;
  for await (const record of read(api, name, query)) {
    print(record);
    count += 1;
  }
  if (count === 0) session.note("no log lines");
}

async function* read(api: ApiClient, name: string, query: URLSearchParams): AsyncGenerator<LogRecord> {
  const response = await api.send("GET", functionPath(name, `/logs?${query.toString()}`));
  for await (const value of jsonLines(response)) {
    const record = logRecordSchema.safeParse(value).data;
    if (record !== undefined) yield record;
  }
}

/**
 * Records of different nodes may arrive out of order, so after a broken connection the log is asked for again from this long before the
 * newest record.
 */
const OVERLAP_MS = 60_000;

/**
 * Follows the log, and continues after a broken connection. The sequence numbers of one instance's records always grow, so no record is
 * printed twice.
 */
async function follow(
  { io, note }: Session,
  api: ApiClient,
  name: string,
  query: URLSearchParams,
  print: (record: LogRecord) => void,
): Promise<void> {
  query.set("follow", "true");
  /** Time of the first record that was printed; older records are not asked for after a reconnection. */
  let first = Infinity;
  const seen = new Map<string, number>();
  let newest = 0;
  while (!io.signal.aborted) {
    try {
      for await (const record of read(api, name, query)) {
        const writer = `${record.instance} ${record.source === "platform" ? "platform" : ""}`;
        if (record.seq <= (seen.get(writer) ?? -1)) continue;
        seen.set(writer, record.seq);
        [first, newest] = [Math.min(first, record.at), Math.max(newest, record.at)];
        query.set("since", String(Math.max(first, newest - OVERLAP_MS)));
        query.set("limit", "10000");
        print(record);
      }
    } catch (error) {
      if (error instanceof CliError && error.code !== "UNREACHABLE" && error.code !== "UNAVAILABLE") throw error;
      if (!io.signal.aborted) note("connection lost, trying again");
    }
    await sleep(RECONNECT_MS, undefined, { signal: io.signal }).catch(() => undefined);
  }
  throw networkError(api.url, undefined, undefined, io.signal);
}

function printer({ io, json }: Session): (record: LogRecord) => void {
  if (json) return (record) => void io.stdout.write(`${io.stdout.isTTY === true ? printableJson(record) : JSON.stringify(record)}\n`);
  const style = createStyle(colourWanted(io.env, io.stdout));
  const plain = (text: string) => text;
  const colours = { debug: style.dim, info: plain, warn: style.yellow, error: style.red };
  return (record) => {
    const origin = record.source === "platform" ? " [platform]" : "";
    const head = style.dim(`${new Date(record.at).toISOString()} v${record.version} ${record.requestId?.slice(0, 8) ?? "-".padEnd(8)}`);
    const message = record.message.replace(/\n$/, "").split("\n").map(printable).join("\n    ");
    io.stdout.write(`${head} ${colours[record.level](record.level.padEnd(5))}${origin} ${message}\n`);
  };
}
