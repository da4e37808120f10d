// The control plane's side of a log collector: reads for the API, and the platform's own records about instances.
import type { Readable } from "node:stream";
import { Pool, type buildConnector } from "undici";
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";
import type { LogQuery } from "../contract/logs.ts";
import type { LogReader } from "../api/log-routes.ts";
import { KEEP_ALIVE, KEPT_RECORDS } from "./collector/server.ts";

export interface PlatformNote {
  tenantId: string;
  functionId: string;
  version: number;
  instance: string;
  level: "info" | "warn" | "error";
  message: string;
}

export interface CollectorClient extends LogReader {
  note(note: PlatformNote): Promise<void>;
  /** Everybody of whom lines are kept. */
  owners(): Promise<{ tenantId: string; functionId: string }[]>;
  remove(tenantId: string, functionId: string): Promise<void>;
}
export interface Opened {
  body: Readable;
  /** So many of the first records were kept before; the others are new (`follow`). */
  kept: number;
  /** It is never silent for long while it is there. */
  keepsAlive: boolean;
}
/** One collector, wherever it is. */
export interface OneCollector extends CollectorClient {
  /** The answer of one collector to a read. */
  open(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Opened>;
  close(): void;
}
export interface CollectorDial {
  origin: string;
  /** For undici's `connect`. */
  connect: buildConnector.BuildOptions | buildConnector.connector;
  /** Where a socket's permissions do not decide who may ask. */
  secret?: string;
}
const ownersSchema = z.array(z.object({ tenantId: z.string(), functionId: z.string() }));
const HEADERS_MS = 10_000;
/** Every read may hold one for as long as it likes; notes and removals must not wait for those. */
const CONNECTIONS = LIMITS.logReads + 32;

export const createCollectorClient = (socketPath: string): CollectorClient =>
  dialCollector({ origin: "http://collector", connect: { socketPath } });

export function dialCollector({ origin, connect, secret }: CollectorDial): OneCollector {
  const pool = new Pool(origin, { connect, connections: CONNECTIONS, allowH2: false, headersTimeout: HEADERS_MS, bodyTimeout: 0 });
  const headers = { "content-type": "application/json", ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) };
  const away = (error: unknown) =>
    Promise.reject(
      error instanceof PlatformError ? error : new PlatformError("UNAVAILABLE", "The log collector does not answer.", { cause: error }),
    );
  async function open(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Opened> {
    const search = new URLSearchParams(
      Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)] as [string, string]])),
    );
    const path = `/v1/logs/${tenantId}/${functionId}?${search.toString()}`;
    const answer = await pool.request({ method: "GET", path, headers, signal }).catch(away);
    answer.body.on("error", () => undefined); // the reader went away
    if (answer.statusCode === 200) {
      const { [KEPT_RECORDS]: kept = 0, [KEEP_ALIVE]: alive } = answer.headers;
      return { body: answer.body, kept: Number(kept), keepsAlive: alive !== undefined };
    }
    await answer.body.dump();
    return away(undefined);
  }
  async function tell(method: "POST" | "DELETE", path: string, body?: string): Promise<void> {
    const answer = await pool.request({ method, path, headers, ...(body === undefined ? {} : { body }) }).catch(away);
    await answer.body.dump();
    if (answer.statusCode >= 300) await away(undefined);
  }
  return {
    open,
    read: async (tenantId, functionId, query, signal) => (await open(tenantId, functionId, query, signal)).body,
    note: (note) => tell("POST", "/v1/notes", JSON.stringify(note)),
    async owners() {
      const answer = await pool.request({ method: "GET", path: "/v1/logs", headers }).catch(away);
      return answer.statusCode === 200 ? ownersSchema.parse(await answer.body.json()) : away(undefined);
    },
    remove: (tenantId, functionId) => tell("DELETE", `/v1/logs/${tenantId}/${functionId}`),
    close: () => void pool.destroy().catch(() => undefined),
  };
}
