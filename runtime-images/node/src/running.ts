// The handlers that run now. The platform asks for the end of one whose client left, because until then its place is taken.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { REQUEST_ID_HEADER } from "./protocol.ts";

/** A promise settles when the handler has ended; of a handler that returns nothing, only the end of its answer can be seen. */
export type Handle = (...request: Parameters<RequestListener>) => unknown;

const kRun = Symbol("run");
type Tracked = ServerResponse & { [kRun]?: Run };

interface Run {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  result: unknown;
  /** Called when it has ended. */
  waiting: (() => void)[] | undefined;
}

const running = new Set<Run>();

/** Calls the handler, and keeps account of it until it has ended. */
export function runHandler(handle: Handle, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const run: Run = { incoming, outgoing, result: undefined, waiting: undefined };
  running.add(run);
  (outgoing as Tracked)[kRun] = run;
  outgoing.on("close", onClose);
  run.result = handle(incoming, outgoing);
}

/** An answer that was sent whole ends its request, whatever the handler does after it. */
function onClose(this: Tracked): void {
  const run = this[kRun]!;
  if (this.writableEnded) ended(run);
  else if (isPromise(run.result))
    run.result.then(() => ended(run), () => ended(run)); // oxfmt-ignore
  else endsWithAnswer(run);
}
function endsWithAnswer(run: Run): void {
  const { outgoing } = run;
  const end = outgoing.end.bind(outgoing) as (...args: unknown[]) => ServerResponse;
  outgoing.end = (...args: unknown[]) => {
    ended(run);
    return end(...args);
  };
}
function ended(run: Run): void {
  running.delete(run);
  for (const tell of run.waiting ?? []) tell();
  run.waiting = undefined;
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

/** Calls back once none of the handlers that run now under this id runs any more; undefined: under any id. */
export function whenSettled(id: string | undefined, settled: () => void): void {
  let left = 1;
  const one = (): void => {
    left -= 1;
    if (left === 0) settled();
  };
  for (const run of running) {
    if (id !== undefined && run.incoming.headers[REQUEST_ID_HEADER] !== id) continue;
    left += 1;
    (run.waiting ??= []).push(one);
  }
  one();
}
