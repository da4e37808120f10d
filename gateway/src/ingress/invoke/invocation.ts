// One invocation of a function, whoever asks for it: a client over HTTP, the operator's probe, later a schedule or a queue. A new kind of
// source makes this value and hands it to `run`; all else is the same for all of them.
import type { Route } from "@fnctl/control-plane/contract/internal";
import { INVOCATION_HEADERS } from "@fnctl/control-plane/contract/runtime-protocol";
import type { Call } from "../call/call.ts";

export interface Invocation {
  /** Who asks, where the body comes from, where the answer goes, and what is known so far. `call.route` is this route. */
  readonly call: Call;
  /** The function, as its owner had it when the invocation was admitted. */
  readonly route: Route;
  /** As the function sees it: path and query. */
  readonly path: string;
  /** Flat list of lower-case names and values, without those of the body's length and of the invocation itself. */
  readonly headers: string[];
}

/** The last fields of the request that reaches the instance. The version stands last, so that `setVersion` can find it. */
export function addInvocationFields(headers: string[], route: Route): void {
  headers.push(
    INVOCATION_HEADERS.timeoutMs,
    String(route.timeoutMs),
    INVOCATION_HEADERS.tenant,
    route.tenant,
    INVOCATION_HEADERS.function,
    route.function,
    INVOCATION_HEADERS.version,
    "0",
  );
}

/** Known once an instance is chosen; another one after a second try. */
export function setVersion(headers: string[], version: number): void {
  headers[headers.length - 1] = String(version);
}
