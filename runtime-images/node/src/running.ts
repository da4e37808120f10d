// The handlers that run now. The platform asks for the end of one whose client left, because until then its place is taken.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { EXCHANGE_HEADER } from "./protocol.ts";

/** A promise settles when the handler has ended; of a handler that returns nothing, only the end of its answer can be seen. */
export type Handle = (...request: Parameters<RequestListener>) => unknown;

const kRun = Symbol("run");
type Tracked = ServerResponse & { [kRun]?: Run };

class Run {
  readonly incoming: IncomingMessage;
  readonly startedAt = performance.now();
  /** Called when it has ended. */
  waiting: (() => void)[] | undefined = undefined;
  constructor(incoming: IncomingMessage) {
    this.incoming = incoming;
  }
}

const running = new Set<Run>();

/** Calls the handler, and keeps account of it until it has ended. */
export function runHandler(handle: Handle, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const run = new Run(incoming);
  running.add(run);
  const result = handle(incoming, outgoing);
  if (result instanceof Promise) {
    const end = (): void => ended(run);
    result.then(end, end);
  } else {
    (outgoing as Tracked)[kRun] = run;
    outgoing.on("close", onClose);
  }
}

/** How long a handler that tells nothing of its end may go on after its client has left, milliseconds. */
const SILENT_GRACE_MS = 1_000;
let grace = SILENT_GRACE_MS;
/** With one request at a time nothing but its own end frees a handler's place. */
export function expectOneAtATime(): void {
  grace = Number.POSITIVE_INFINITY;
}

/**
 * An answer that was sent whole ends its request. Of one that was cut nobody tells when it ends: most stop at the answer's `close` and call
 * nothing, so it ends a moment later, or when the handler ends the answer all the same.
 */
function onClose(this: Tracked): void {
  const run = this[kRun]!;
  if (this.writableEnded) return ended(run);
  if (grace !== Number.POSITIVE_INFINITY) setTimeout(ended, grace, run).unref();
  const end = this.end.bind(this) as (...args: unknown[]) => ServerResponse;
  this.end = (...args: unknown[]) => {
    ended(run);
    return end(...args);
  };
}
/** Runs that ended last. */
const REMEMBERED = 16;
const past: { run: Run; endedAt: number }[] = [];

/** The only request that ran at `at` (`performance.now`); undefined: there were several, or none. */
export function onlyRequestAt(at: number): IncomingMessage | undefined {
  const found = past.filter(({ run, endedAt }) => run.startedAt <= at && at <= endedAt).map(({ run }) => run);
  for (const run of running) if (run.startedAt <= at) found.push(run);
  return found.length === 1 ? found[0]?.incoming : undefined;
}

function ended(run: Run): void {
  if (running.delete(run) && past.push({ run, endedAt: performance.now() }) > REMEMBERED) past.shift();
  for (const tell of run.waiting ?? []) tell();
  run.waiting = undefined;
}

/** Calls back once none of the handlers that run now for this exchange runs any more; undefined: for any. */
export function whenSettled(id: string | undefined, settled: () => void): void {
  let left = 1;
  const one = (): void => {
    left -= 1;
    if (left === 0) settled();
  };
  for (const run of running) {
    if (id !== undefined && run.incoming.headers[EXCHANGE_HEADER] !== id) continue;
    left += 1;
    (run.waiting ??= []).push(one);
  }
  one();
}
