// Calls to another part of the platform with small JSON documents. Answers are capped and timed, and every failure is a coded error.
import { interceptors, Pool, type Dispatcher } from "undici";
import type { z } from "zod";
import type { EndpointDial } from "../../contract/endpoint.ts";
import { PlatformError, fromProblem } from "../../contract/errors.ts";

export interface CallOptions {
  dial: EndpointDial;
  /** Name of the called part for error messages, such as "The egress proxy". */
  who: string;
  /** What the operator should do when the called part is away. */
  hint?: string;
  secret?: string;
  /** The most connections; null means no limit. */
  connections: number | null;
  /** Time limit of a call that gives none, milliseconds. */
  timeoutMs: number;
  /** A part that does not listen is tried again, as often as takes about so long, milliseconds; for one that starts again at once. */
  patienceMs?: number;
  /** The most bytes of an answer. */
  answerCap?: number;
}
export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  body?: unknown;
  timeoutMs?: number;
  /** Ends the call; with a signal the answer's body has no other time limit. */
  signal?: AbortSignal;
}

export function createCaller({ dial, who, hint, secret, connections, timeoutMs: usual, answerCap, patienceMs }: CallOptions) {
  const own = new Pool(dial.origin, {
    connect: dial.connect,
    connections,
    allowH2: false,
    ...(answerCap === undefined ? {} : { maxResponseSize: answerCap }),
  });
  const pool: Dispatcher = patienceMs === undefined ? own : own.compose(interceptors.retry(patience(patienceMs)));
  const headers = { "content-type": "application/json", ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) };
  const away = (cause: unknown): never => {
    throw new PlatformError("UNAVAILABLE", `${who} is not reachable.`, { cause, hint });
  };

  /** Resolves with the unread answer, whatever its status. Throws UNAVAILABLE. */
  const open = ({ method, path, body, timeoutMs = usual, signal }: Call): Promise<Dispatcher.ResponseData> =>
    pool
      .request({
        method,
        path,
        headers,
        headersTimeout: timeoutMs,
        bodyTimeout: signal === undefined ? timeoutMs : 0,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      })
      .catch(away);

  /**
   * Throws the error of an answered problem document, UNAVAILABLE for an answer that is cut off or too large, and INTERNAL for one that
   * does not match `schema`.
   */
  async function ask<T extends z.ZodType>(call: Call, schema: T): Promise<z.infer<T>> {
    const response = await open(call);
    const answer = parse(await response.body.text().catch(away));
    if (response.statusCode >= 300) throw fromProblem(answer);
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new PlatformError("INTERNAL", `${who}'s answer to ${call.path} is not understood.`, { cause: parsed.error });
  }
  return { open, ask, close: () => own.destroy() };
}

/** Returns undefined for an empty text, or one that is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const PAUSE_MS = 100;
const patience = (ms: number) => ({
  maxRetries: Math.ceil(ms / PAUSE_MS),
  minTimeout: PAUSE_MS,
  maxTimeout: PAUSE_MS,
  timeoutFactor: 1,
  // The socket's file is missing, nobody listens on it, or whoever did has gone; only idempotent methods are repeated.
  errorCodes: ["ECONNREFUSED", "ENOENT", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"],
  statusCodes: [],
});
