// The platform's side of the runtime protocol. A sandbox is hostile: every answer is capped, timed and parsed.
import { Client } from "undici";
import { PlatformError } from "../contract/errors.ts";
import { dialOf } from "../contract/instance-address.ts";
import { PROTOCOL_PATHS, initFailedSchema, initOkSchema, type InitRequest } from "../contract/runtime-protocol.ts";
import type { Instance } from "../sandbox/driver.ts";

/** Longest import of a user's code, milliseconds. */
export const INIT_TIMEOUT_MS = 60_000;
const ANSWER_CAP = 64 * 1024;

export function connect({ id, address }: Pick<Instance, "id" | "address">, timeoutMs: number, cap: number): Client {
  if (address === undefined) throw new PlatformError("SANDBOX_FAILED", "The sandbox has no address.");
  const dial = dialOf(address, id, timeoutMs);
  return new Client(dial.origin, {
    connect: dial.connect,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: cap,
  });
}

/** A connection for `init` alone. */
export const initConnection = (instance: Pick<Instance, "id" | "address">): Client => connect(instance, INIT_TIMEOUT_MS, ANSWER_CAP);

/** Sends `init` and ends the connection; throws INIT_FAILED with the user's own stack trace in `facts` when their code does not load. */
export async function initInstance(client: Client, request: InitRequest): Promise<{ importMs: number }> {
  try {
    const answer = await client
      .request({
        method: "POST",
        path: PROTOCOL_PATHS.init,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(request),
        headersTimeout: INIT_TIMEOUT_MS,
        bodyTimeout: INIT_TIMEOUT_MS,
        signal: AbortSignal.timeout(INIT_TIMEOUT_MS),
      })
      .catch(silent);
    const value: unknown = await answer.body.json().catch(silent);
    if (answer.statusCode === 200) return initOkSchema.parse(value);
    const failed = initFailedSchema.safeParse(value);
    throw failed.success ? initError(failed.data.message, failed.data.stack) : silent(undefined);
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

function silent(cause: unknown): never {
  throw new PlatformError("INIT_FAILED", "The function ended, or did not answer in time, while it was being loaded.", {
    hint: "Look for process.exit, endless loops or too much memory at import.",
    cause,
  });
}
