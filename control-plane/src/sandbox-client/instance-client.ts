// The platform's side of the runtime protocol. A sandbox is hostile: every answer is capped, timed and parsed.
import { Client } from "undici";
import { PlatformError } from "../contract/errors.ts";
import { dialOf, type Address } from "../contract/instance-address.ts";
import { PROTOCOL_PATHS, initFailedSchema, initOkSchema, type InitRequest } from "../contract/runtime-protocol.ts";

/** Longest import of a user's code, milliseconds. */
export const INIT_TIMEOUT_MS = 60_000;
const ANSWER_CAP = 64 * 1024;

/** The part of a Sandbox that is needed to reach it. */
export interface Reachable {
  id: string;
  address?: Address | undefined;
}
/** `init` was not answered, or not in the form of the protocol. */
export class NoInitAnswer extends Error {
  readonly timedOut: boolean;
  constructor(timedOut: boolean, cause: unknown) {
    super("The instance did not answer init.", { cause });
    this.timedOut = timedOut;
  }
}

/** `connectMs`: the longest time to connect, when that should be less than the time for an answer. */
export function connect({ id, address }: Reachable, timeoutMs: number, cap: number, connectMs = timeoutMs): Client {
  if (address === undefined) throw new PlatformError("SANDBOX_FAILED", "The sandbox has no address.");
  const dial = dialOf(address, id, connectMs);
  return new Client(dial.origin, {
    connect: dial.connect,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: cap,
  });
}

/** Opens a connection that is used for `init` only. */
export const initConnection = (instance: Reachable, connectMs?: number): Client =>
  connect(instance, INIT_TIMEOUT_MS, ANSWER_CAP, connectMs);

/**
 * Sends `init` and ends the connection. Throws INIT_FAILED with the user's own stack trace in `facts` when their code does not load, and
 * NoInitAnswer when no proper answer comes.
 */
export async function initInstance(client: Client, request: InitRequest, timeoutMs = INIT_TIMEOUT_MS): Promise<{ importMs: number }> {
  try {
    const answer = await client
      .request({
        method: "POST",
        path: PROTOCOL_PATHS.init,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(request),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
      })
      .catch(silent);
    const value: unknown = await answer.body.json().catch(silent);
    const ok = answer.statusCode === 200 ? initOkSchema.safeParse(value) : undefined;
    if (ok?.success === true) return ok.data;
    const failed = initFailedSchema.safeParse(value);
    throw failed.success ? initError(failed.data.message, failed.data.stack) : new NoInitAnswer(false, value);
  } finally {
    void client.destroy();
  }
}

function initError(message: string, stack: string | undefined): PlatformError {
  return new PlatformError("INIT_FAILED", `The function could not be loaded: ${message.slice(0, 2000)}`, {
    hint: "Mend the error and deploy again; fnctl logs shows the stack trace.",
    facts: stack === undefined ? {} : { stack: stack.slice(0, 16_000) },
  });
}

const TIMEOUTS = new Set(["TimeoutError", "HeadersTimeoutError", "BodyTimeoutError"]);

function silent(cause: unknown): never {
  throw new NoInitAnswer(cause instanceof Error && TIMEOUTS.has(cause.name), cause);
}
