// One request, of the API or for a function, from its first byte to its line in the access log: who asks, how far it is, and what is known
// of it. It knows no socket.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { formatMs } from "../measure/milliseconds.ts";
import type { Caller } from "./caller.ts";
import { forStranger } from "./stranger.ts";

/**
 * `asked`: nobody else has seen it, so it may be sent (again); `started`: it is at an instance or at the API; `answering`: the answer's head
 * is out, so nothing else can be said any more; `over`: ended and counted. A call only goes on from one to the next, or straight to `over`.
 */
export type Phase = "asked" | "started" | "answering" | "over";

/** Whoever holds something for a call: a slot, a connection, a timer. */
export interface Holder {
  /** The call is over, as `call.phase` says too: let go of all that is held for it. `whole`: it was answered to its end. */
  letGo(whole: boolean): void;
  /** The caller takes bytes again. */
  drained(): void;
}

/** Where calls are counted and written down. */
export interface Ledger {
  began(call: Call): void;
  ended(call: Call): void;
  /** An error that no code of ours foresaw. */
  unexpected(call: Call, error: unknown): void;
}

export class Call {
  readonly method: string;
  /** As it was asked for, with its query. */
  readonly target: string;
  readonly caller: Caller;
  private readonly ledger: Ledger;
  phase: Phase = "asked";
  holder: Holder | undefined = undefined;
  /** Milliseconds since the epoch, and on the monotonic clock. */
  readonly acceptedAt = Date.now();
  readonly startedAt = performance.now();
  /** On the monotonic clock: sent to an instance or to the API, and the body's end; 0: not yet. */
  sentAt = 0;
  bodyDoneAt = 0;
  requestId = "";
  /** The page that asks (Fetch standard). */
  origin: string | undefined = undefined;
  route: Route | undefined = undefined;
  version = 0;
  instance = "";
  status = 0;
  bytesIn = 0;
  bytesOut = 0;
  queueMs = 0;
  coldMs = 0;
  /** From sending to the answer's head. */
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

  constructor(method: string, target: string, caller: Caller, ledger: Ledger) {
    this.method = method;
    this.target = target;
    this.ledger = ledger;
    this.caller = caller;
    ledger.began(this);
  }

  /** The whole answer was handed over. */
  complete(): void {
    if (this.phase !== "over") this.close(true);
  }

  /** Ends the call with an error: told while nothing was answered, else by cutting the answer. */
  fail(error: unknown): void {
    if (this.phase === "over") return;
    const known = error instanceof PlatformError ? error : new PlatformError("INTERNAL", "An unexpected error occurred.", { cause: error });
    if (known !== error) this.ledger.unexpected(this, error);
    this.code = known.code;
    const answering = this.phase === "answering";
    this.phase = "over";
    if (answering) this.caller.cut();
    else this.caller.refuse(this.seesFailures ? known : forStranger(known));
    this.close(false);
  }

  /** The caller went away before the end. */
  callerGone(): void {
    if (this.phase === "over") return;
    this.code = "CLIENT_CLOSED";
    if (this.phase !== "answering") this.status = 499;
    this.close(false);
  }

  private close(whole: boolean): void {
    this.phase = "over";
    this.holder?.letGo(whole);
    const now = performance.now();
    if (this.sentAt !== 0) this.functionMs ||= now - this.sentAt;
    this.durationMs = now - this.startedAt;
    this.ledger.ended(this);
  }
}

/** W3C Server Timing: the wait for a slot, the instance's start if this request paid for it, and the function. Milliseconds. */
export function serverTiming(call: Call): string {
  return `queue;dur=${formatMs(call.queueMs)}, cold;dur=${formatMs(call.coldMs)}, fn;dur=${formatMs(call.functionMs)}`;
}
