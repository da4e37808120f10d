// The collector's own listener: it serves the control plane's reads and takes the platform's notes about instances. On one machine the
// permissions of the socket's folder decide who may connect, in a cluster a secret does (log-agent-main.ts).
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { levelSchema, logQuerySchema, type LogRecord } from "../../contract/logs.ts";
import { readJson } from "../../service/http/json-body.ts";
import { serveJson, type Reply } from "../../service/http/serve.ts";
import { writeLines } from "../../service/http/write-lines.ts";
import { COLLECTOR } from "./limits.ts";
import { sanitise } from "./sanitise.ts";
import type { Owner, Segments } from "./segments.ts";

const noteSchema = z.strictObject({
  tenantId: z.uuid(),
  functionId: z.uuid(),
  version: z.int(),
  instance: z.string().max(64),
  level: levelSchema,
  message: z.string(),
});
/** Header: the number of records at the beginning that were kept already; the ones after them are new. */
export const KEPT_RECORDS = "x-fnctl-kept-records";
/** Header: an empty line comes at least this often, milliseconds. Readers that do not know this header skip lines that are not records. */
export const KEEP_ALIVE = "x-fnctl-keep-alive-ms";
const NOTE_CAP = 64 * 1024;
const OWNERS_PATH = "/v1/logs";
const PATH = /^\/v1\/logs\/([0-9a-f-]{36})\/([0-9a-f-]{36})$/;

/**
 * `keepAliveMs`: for followers that must notice when this process disappears without closing the connection. Without it a follower gets
 * records only.
 */
export function createCollectorListener(segments: Segments, keepAliveMs?: number): RequestListener {
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const url = new URL(request.url ?? "/", "http://collector");
    if (request.method === "POST" && url.pathname === "/v1/notes") {
      const { tenantId, functionId, message, ...note } = noteSchema.parse(await readJson(request, NOTE_CAP));
      segments.append({ tenantId, functionId }, { ...note, source: "platform", message: sanitise(message) });
      return {};
    }
    if (request.method === "GET" && url.pathname === OWNERS_PATH) return { body: await segments.owners() };
    const match = PATH.exec(url.pathname);
    if (match === null) throw new PlatformError("NOT_FOUND", "No such path.");
    const owner = { tenantId: match[1] ?? "", functionId: match[2] ?? "" };
    if (request.method === "DELETE") {
      await segments.remove(owner);
      return {};
    }
    await sendLogs({ segments, owner, search: url.searchParams, keepAliveMs }, response);
    return undefined;
  }
  return serveJson(answer);
}

interface Asked {
  segments: Segments;
  owner: Owner;
  search: URLSearchParams;
  keepAliveMs: number | undefined;
}

async function sendLogs({ segments, owner, search, keepAliveMs }: Asked, response: ServerResponse): Promise<void> {
  const { limit, since, requestId, version, follow } = logQuerySchema.parse(Object.fromEntries(search));
  const keep = (record: LogRecord) =>
    (since === undefined || record.at >= since) &&
    (requestId === undefined || record.requestId === requestId) &&
    (version === undefined || record.version === version);
  const send = (record: LogRecord) => {
    response.write(`${JSON.stringify(record)}\n`);
    if (response.writableLength > COLLECTOR.followBacklogBytes) response.destroy();
  };
  // Subscribed before the read, so that nothing falls between the two.
  const late: LogRecord[] = [];
  let live: (record: LogRecord) => void = (record) => {
    late.push(record);
    if (late.length > COLLECTOR.followLateRecords) response.destroy();
  };
  const end = follow === "true" ? segments.follow(owner, (record) => keep(record) && live(record)) : () => undefined;
  response.on("close", end);
  const records = await segments.read(owner, limit, since, keep);
  const keepsAlive = keepAliveMs !== undefined && follow === "true";
  const alive = keepsAlive ? { [KEEP_ALIVE]: keepAliveMs } : {};
  response.writeHead(200, { "content-type": "application/x-ndjson", [KEPT_RECORDS]: records.length, ...alive });
  response.flushHeaders();
  if (keepsAlive) keepAlive(response, keepAliveMs);
  await writeLines(response, records); // only as fast as the reader reads, because a whole log is larger than followBacklogBytes
  if (response.destroyed) return;
  const last = records.at(-1)?.seq ?? 0;
  if (follow !== "true") return void response.end();
  for (const record of late) if (record.seq > last) send(record);
  live = send;
}

function keepAlive(response: ServerResponse, everyMs: number): void {
  // While data waits to be sent, no empty line is added: that data keeps the reader informed when it arrives.
  const timer = setInterval(() => response.writableNeedDrain || response.write("\n"), everyMs).unref();
  response.on("close", () => clearInterval(timer));
  if (response.destroyed) clearInterval(timer);
}
