// One invocation of a function from any source: a client over HTTP, the operator's probe, later a schedule or a queue. A new kind of source
// makes this value and passes it to `run`; everything else is shared.
import type { Route } from "@fnctl/control-plane/contract/internal";
import { INVOCATION_HEADERS } from "@fnctl/control-plane/contract/runtime-protocol";
import type { Call } from "../call/call.ts";

export interface Invocation {
  /** The call that it belongs to, with its caller (source of the body, target of the answer). `call.route` is this route. */
  readonly call: Call;
  /** The function's route at the time when the invocation was admitted. */
  readonly route: Route;
  /** Path and query that the function sees. */
  readonly path: string;
  /** Flat list of lower-case names and values, without the fields for the body's length and those of `addInvocationFields`. */
  readonly headers: string[];
}

/** Adds the last fields of the request that goes to the instance. The exchange is the very last, so that `setExchange` can find it. */
export function addInvocationFields(headers: string[], route: Route): void {
  headers.push(
    INVOCATION_HEADERS.timeoutMs,
    String(route.timeoutMs),
    INVOCATION_HEADERS.tenant,
    route.tenant,
    INVOCATION_HEADERS.function,
    route.function,
    INVOCATION_HEADERS.exchange,
    "",
  );
}

/** Sets the exchange, which is known once an instance is chosen, and is another one on a second try. */
export function setExchange(headers: string[], exchange: string): void {
  headers[headers.length - 1] = exchange;
}
