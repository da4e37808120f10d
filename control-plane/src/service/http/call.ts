// Calls to another part of the platform: small JSON documents, capped, timed, and every failure a coded error.
import { Pool, type Dispatcher } from "undici";
import type { z } from "zod";
import type { EndpointDial } from "../../contract/endpoint.ts";
import { PlatformError, fromProblem } from "../../contract/errors.ts";

export interface CallOptions {
  dial: EndpointDial;
  /** As it stands in a sentence: "The egress proxy". */
  who: string;
  /** What to do when it is away. */
  hint?: string;
  secret?: string;
  /** null: as many as are wanted. */
  connections: number | null;
  /** For a call that says nothing else, milliseconds. */
  timeoutMs: number;
  /** Bytes of an answer. */
  answerCap?: number;
}
export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  body?: unknown;
  timeoutMs?: number;
  /** Ends the call; such a one has no other limit of time for its body. */
  signal?: AbortSignal;
}

export function createCaller({ dial, who, hint, secret, connections, timeoutMs: usual, answerCap }: CallOptions) {
  const pool = new Pool(dial.origin, {
    connect: dial.connect,
    connections,
    allowH2: false,
    ...(answerCap === undefined ? {} : { maxResponseSize: answerCap }),
  });
  const headers = { "content-type": "application/json", ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) };
  const away = (cause: unknown): never => {
    throw new PlatformError("UNAVAILABLE", `${who} is not reachable.`, { cause, hint });
  };

  /** The answer as it comes, whatever its status. Throws UNAVAILABLE. */
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

  /** Throws what the problem says that it answers; UNAVAILABLE for an answer that is cut off or too large, INTERNAL for one that is not understood. */
  async function ask<T extends z.ZodType>(call: Call, schema: T): Promise<z.infer<T>> {
    const response = await open(call);
    const answer = parse(await response.body.text().catch(away));
    if (response.statusCode >= 300) throw fromProblem(answer);
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new PlatformError("INTERNAL", `${who}'s answer to ${call.path} is not understood.`, { cause: parsed.error });
  }
  return { open, ask, close: () => pool.destroy() };
}

/** undefined for what is no JSON, or nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
