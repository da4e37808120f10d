// What is known of one request from its first byte to its access log record.
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { formatMs } from "../measure/milliseconds.ts";
import type { RequestHead } from "./request-head.ts";

export class RequestContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly target: string;
  /** Milliseconds since the epoch, and on the monotonic clock. */
  readonly acceptedAt = Date.now();
  readonly startedAt = performance.now();
  requestId = "";
  head: RequestHead | undefined = undefined;
  route: Route | undefined = undefined;
  version = 0;
  instance = "";
  status = 0;
  bytesIn = 0;
  bytesOut = 0;
  queueMs = 0;
  coldMs = 0;
  functionMs = 0;
  durationMs = 0;
  code = "";
  /** Why the instance ended, as the control plane saw it. */
  reason = "";
  /** Path route on a public name: cookies off, sandboxed (SECURITY I4). */
  sandboxed = false;
  /** Path route: on one origin with the API and other tenants' functions. */
  sharesOrigin = false;
  /** The caller may read the function's log, so also why it failed. */
  seesFailures = false;
  api = false;
  finished = false;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.method = request.method ?? "";
    this.target = request.url ?? "";
  }
  /** The client's id if it gave a usable one, else a new one. */
  takeHead(head: RequestHead): void {
    this.head = head;
    this.requestId = head.requestId ?? randomUUID();
  }
}

/** W3C Server Timing: the wait for a slot, the instance's start if this request paid for it, and the function. Milliseconds. */
export function serverTiming(context: RequestContext): string {
  return `queue;dur=${formatMs(context.queueMs)}, cold;dur=${formatMs(context.coldMs)}, fn;dur=${formatMs(context.functionMs)}`;
}
