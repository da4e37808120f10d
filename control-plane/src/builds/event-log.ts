// The event stream of one build: numbered, capped, written in small batches so that a reader sees lines as they come.
import type { BuildEvent } from "../contract/resources.ts";
import { LIMITS } from "../contract/limits.ts";
import type { BuildJob } from "../db/system-database.ts";
import type { BuildStore } from "./build-store.ts";

const FLUSH_MS = 80;
type Body = BuildEvent extends infer E ? (E extends { seq: number; at: string } ? Omit<E, "seq" | "at"> : never) : never;

export interface EventLogInput {
  store: BuildStore;
  job: BuildJob;
  epoch: number;
  firstSeq: number;
  onError(error: unknown): void;
}

export function createEventLog({ store, job, epoch, firstSeq, onError }: EventLogInput) {
  let seq = firstSeq;
  let bytes = 0;
  let batch: BuildEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();

  function stamp(body: Body): BuildEvent {
    return { ...body, seq: seq++, at: new Date().toISOString() };
  }
  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const events = batch;
    batch = [];
    writing = writing.then(() => store.append(job, epoch, events)).catch(onError);
    return writing;
  }
  function add(body: Body): void {
    batch.push(stamp(body));
    timer ??= setTimeout(() => void flush(), FLUSH_MS);
  }
  return {
    /** Takes the next event number for an event that the caller writes itself. */
    reserve: () => seq++,
    flush,
    /** Log lines above the cap are not kept; one line says so. */
    log(stream: "stdout" | "stderr" | "platform", text: string): void {
      if (bytes > LIMITS.buildLogBytes) return;
      bytes += text.length;
      add({ type: "log", stream, text: text.slice(0, LIMITS.logLineBytes) });
      if (bytes > LIMITS.buildLogBytes)
        add({
          type: "log",
          stream: "platform",
          text: `[the build's log is longer than ${LIMITS.buildLogBytes} bytes; the rest is not kept]`,
        });
    },
    /** Runs `work` as a named, timed phase. */
    async phase<T>(phase: "build" | "publish" | "rollout", work: () => Promise<T>): Promise<T> {
      const begun = performance.now();
      add({ type: "phase", phase, state: "started" });
      const value = await work();
      add({ type: "phase", phase, state: "done", ms: Math.round(performance.now() - begun) });
      return value;
    },
  };
}
export type EventLog = ReturnType<typeof createEventLog>;
