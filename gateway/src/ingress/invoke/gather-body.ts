// A small body is gathered before anything is taken for its request, so that a slow sender holds no slot of a function and no place at the API.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Call } from "../call/call.ts";

/** Undefined: the call is over, for its caller is gone or too slow. Rejects when too many bytes are held already. */
export async function gatherBody(call: Call, ms: number): Promise<Buffer | undefined> {
  const late = setTimeout(() => call.fail(new PlatformError("REQUEST_TIMEOUT", `The request's body did not arrive within ${ms} ms.`)), ms);
  try {
    const body = await call.caller.gatherBody();
    if (body === undefined) call.callerGone();
    return call.phase === "over" ? undefined : body;
  } finally {
    clearTimeout(late);
  }
}
