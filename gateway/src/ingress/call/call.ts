// One request, to the API or to a function, from its first byte to its line in the access log: its caller, its phase, and everything that
// is known of it. It is independent of sockets.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { formatMs } from "../measure/milliseconds.ts";
import type { Caller } from "./caller.ts";
import { forStranger } from "./stranger.ts";

/**
 * `asked`: no instance has seen the request, so it may be sent (again); `started`: it was sent to an instance or to the API; `answering`:
 * the answer's head was sent, so no other answer is possible; `over`: ended and counted. A call goes from one phase to the next, or
 * straight to `over`.
 */
export type Phase = "asked" | "started" | "answering" | "over";

/** The object that holds something for a call: a slot, a connection, a timer. */
export interface Holder {
  /** The call is over (so is `call.phase`): release everything that is held for it. `whole`: it was answered to its end. */
  letGo(whole: boolean): void;
  /** The caller takes bytes again. */
  drained(): void;
}

/** Counts calls and logs them. */
export interface Ledger {
  began(call: Call): void;
  ended(call: Call): void;
  /** Logs an error that our code did not expect. */
  unexpected(call: Call, error: unknown): void;
}

export class Call {
  readonly method: string;
  /** The request target as the client sent it, with its query. */
  readonly target: string;
  readonly caller: Caller;
  private readonly ledger: Ledger;
  phase: Phase = "asked";
  holder: Holder | undefined = undefined;
  /** Milliseconds since the epoch, and on the monotonic clock. */
  readonly acceptedAt = Date.now();
  readonly startedAt = performance.now();
  /** On the monotonic clock: when the request was sent to an instance or to the API, and when its body ended; 0: not yet. */
  sentAt = 0;
  bodyDoneAt = 0;
  requestId = "";
  /** The Origin field: origin of the web page that makes the request (Fetch standard). */
  origin: string | undefined = undefined;
  route: Route | undefined = undefined;
  version = 0;
  instance = "";
  status = 0;
  bytesIn = 0;
  bytesOut = 0;
  queueMs = 0;
  coldMs = 0;
  /** Time from sending the request to the answer's head. */
  functionMs = 0;
  durationMs = 0;
  code = "";
  /** Why the instance ended, as the control plane saw it. */
  reason = "";
  /** Path route on a public name: cookies are removed, and the answer is sandboxed in browsers (SECURITY I4). */
  sandboxed = false;
  /** Path route, so the function shares its origin with the API and other tenants' functions. */
  sharesOrigin = false;
  /** The caller may read the function's log, and so may also see why it failed. */
  seesFailures = false;

  constructor(method: string, target: string, caller: Caller, ledger: Ledger) {
    this.method = method;
    this.target = target;
    this.ledger = ledger;
    this.caller = caller;
    ledger.began(this);
  }

  /** Ends the call after its whole answer was handed over; `now` on the monotonic clock. */
  complete(now = performance.now()): void {
    if (this.phase !== "over") this.close(true, now);
  }

  /** Ends the call with an error, which is sent if no answer has begun; otherwise the answer is cut. */
  fail(error: unknown): void {
    if (this.phase === "over") return;
    const known = error instanceof PlatformError ? error : new PlatformError("INTERNAL", "An unexpected error occurred.", { cause: error });
    if (known !== error) this.ledger.unexpected(this, error);
    this.code = known.code;
    const answering = this.phase === "answering";
    this.phase = "over";
    try {
      if (answering) this.caller.cut();
      else this.caller.refuse(this.seesFailures ? known : forStranger(known));
    } finally {
      this.close(false); // whatever happens to the answer, what is held for the call is freed
    }
  }

  /** Ends the call because the caller went away. */
  callerGone(): void {
    if (this.phase === "over") return;
    this.code = "CLIENT_CLOSED";
    if (this.phase !== "answering") this.status = 499;
    this.close(false);
  }

  private close(whole: boolean, now = performance.now()): void {
    this.phase = "over";
    this.holder?.letGo(whole);
    if (this.sentAt !== 0) this.functionMs ||= now - this.sentAt;
    this.durationMs = now - this.startedAt;
    this.ledger.ended(this);
  }
}

/** W3C Server Timing: the wait for a slot, the instance's start if this request paid for it, and the function. Milliseconds. */
export function serverTiming(call: Call): string {
  return `queue;dur=${formatMs(call.queueMs)}, cold;dur=${formatMs(call.coldMs)}, fn;dur=${formatMs(call.functionMs)}`;
}
