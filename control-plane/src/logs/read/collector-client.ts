// The control plane's side of a log collector: reads for the API, and the platform's own records about instances.
import type { Readable } from "node:stream";
import type { buildConnector } from "undici";
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import type { LogQuery } from "../../contract/logs.ts";
import { createCaller } from "../../service/http/call.ts";
import type { LogReader } from "./log-reader.ts";
import { KEEP_ALIVE, KEPT_RECORDS } from "../keep/server.ts";

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
  /** All functions that have a log. */
  owners(): Promise<{ tenantId: string; functionId: string }[]>;
  remove(tenantId: string, functionId: string): Promise<void>;
}
export interface Opened {
  body: Readable;
  /** The number of records at the beginning that were kept already; the ones after them are new (`follow`). */
  kept: number;
  /** The collector sends something at least every AGENT.keepAliveMs while it is alive. */
  keepsAlive: boolean;
}
/** The client of one collector, on this machine or on a node. */
export interface OneCollector extends CollectorClient {
  /** The answer of one collector to a read. */
  open(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Opened>;
  close(): void;
}
export interface CollectorDial {
  origin: string;
  /** The value for undici's option `connect`. */
  connect: { socketPath: string } | buildConnector.connector;
  /** Needed where no socket permissions decide who may ask. */
  secret?: string;
}
const ownersSchema = z.array(z.object({ tenantId: z.string(), functionId: z.string() }));
const ANSWER_MS = 10_000;
/** Every read may hold a connection for as long as it likes, and notes and removals must not wait for reads. */
const CONNECTIONS = LIMITS.logReads + 32;

export const createCollectorClient = (socketPath: string): CollectorClient =>
  dialCollector({ origin: "http://collector", connect: { socketPath } });

export function dialCollector({ origin, connect, secret }: CollectorDial): OneCollector {
  const dial = { origin, connect };
  const who = "The log collector";
  const calls = createCaller({ dial, who, connections: CONNECTIONS, timeoutMs: ANSWER_MS, ...(secret === undefined ? {} : { secret }) });

  async function open(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Opened> {
    const search = new URLSearchParams(
      Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)] as [string, string]])),
    );
    const answer = await calls.open({ method: "GET", path: `/v1/logs/${tenantId}/${functionId}?${search.toString()}`, signal });
    answer.body.on("error", () => undefined); // happens when the reader goes away
    if (answer.statusCode === 200) {
      const { [KEPT_RECORDS]: kept = 0, [KEEP_ALIVE]: alive } = answer.headers;
      return { body: answer.body, kept: Number(kept), keepsAlive: alive !== undefined };
    }
    await answer.body.dump();
    throw new PlatformError("UNAVAILABLE", "The log collector does not answer.");
  }
  return {
    open,
    read: async (tenantId, functionId, query, signal) => (await open(tenantId, functionId, query, signal)).body,
    note: async (note) => void (await calls.ask({ method: "POST", path: "/v1/notes", body: note }, z.unknown())),
    owners: () => calls.ask({ method: "GET", path: "/v1/logs" }, ownersSchema),
    remove: async (tenantId, functionId) =>
      void (await calls.ask({ method: "DELETE", path: `/v1/logs/${tenantId}/${functionId}` }, z.unknown())),
    close: () => void calls.close().catch(() => undefined),
  };
}
