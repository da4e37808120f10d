// Which request the running code belongs to; log records read the id from here.
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage } from "node:http";
import { REQUEST_ID_HEADER, TIMEOUT_HEADER } from "./protocol.ts";

/** One per request; all but the clock is read when asked for, because most requests never ask. */
export class RequestContext {
  readonly incoming: IncomingMessage;
  readonly #startedAt = performance.now();
  constructor(incoming: IncomingMessage) {
    this.incoming = incoming;
  }
  get requestId(): string | undefined {
    const value = this.incoming.headers[REQUEST_ID_HEADER];
    return typeof value === "string" ? value : undefined;
  }
  /** Milliseconds until the platform answers for the function; undefined without a deadline. */
  remainingMs(): number | undefined {
    const left = Number(this.incoming.headers[TIMEOUT_HEADER] ?? Number.NaN);
    return Number.isFinite(left) ? Math.max(0, Math.round(left - (performance.now() - this.#startedAt))) : undefined;
  }
}

export const requestContext = new AsyncLocalStorage<RequestContext>();
