// Follows the control plane's change stream for ever: resumes where it stopped, takes snapshots over, and keeps the last
// known state for as long as the control plane is away.
import { EventEmitter, once } from "node:events";
import { changeSchema, type Change } from "@fnctl/control-plane/contract/internal";
import { createAppliedReport } from "./applied-report.ts";
import type { ChangesClient } from "./changes-client.ts";
import { FEED_LIMITS } from "./limits.ts";
import type { Snapshot, ReplicaTopic } from "./replica-topic.ts";

export interface FeedHandlers {
  /** The stream is connected (again): a good moment to register all leases. */
  connected?(): void;
  /** A change that is no topic's: an instruction, such as a recall. */
  order?(change: Change): void;
}

export interface ChangeFeed {
  readonly connected: boolean;
  /** True once a first snapshot or resume was complete. */
  readonly primed: boolean;
  /** Resolves when the stream is connected, or after `ms`. The call shortens a pause between two attempts. */
  reach(ms: number): Promise<void>;
  stop(): Promise<void>;
}

interface Deps {
  control: ChangesClient;
  topics: readonly ReplicaTopic[];
  handlers: FeedHandlers;
  /** Counts reconnections. */
  metrics?: { feedReconnects: number };
  warn: (message: string, facts: Record<string, unknown>) => void;
  random?: () => number;
}

export function startChangeFeed(deps: Deps): ChangeFeed {
  const state = new FeedState(deps);
  const stop = new AbortController();
  const running = follow(deps, state, stop.signal);
  return {
    get connected() {
      return state.connected;
    },
    get primed() {
      return state.primed;
    },
    async reach(ms) {
      if (state.connected) return;
      state.news.emit("wanted");
      await once(state.news, "connected", { signal: AbortSignal.any([AbortSignal.timeout(ms), stop.signal]) }).catch(() => undefined);
    },
    async stop() {
      stop.abort();
      await running;
    },
  };
}

async function follow(deps: Deps, state: FeedState, stop: AbortSignal): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const before = state.at;
    try {
      await readStream(deps, state, stop);
    } catch (error) {
      if (!stop.aborted) deps.warn("change stream ended", { error: error instanceof Error ? error.message : String(error), failures });
    }
    state.connected = false;
    state.snapshots = undefined;
    if (stop.aborted) return;
    if (deps.metrics !== undefined) deps.metrics.feedReconnects += 1;
    failures = state.at === before ? failures + 1 : 0;
    const least = FEED_LIMITS.backoffBaseMs * 2 ** Math.min(failures, 2);
    await pauseUnlessWanted(backoffMs(failures, deps.random ?? Math.random), least, state.news, stop);
  }
}

/**
 * A request that waits for the stream shortens the pause to `least`, which also grows, so that clients cannot make gateways reconnect all
 * the time.
 */
async function pauseUnlessWanted(ms: number, least: number, news: EventEmitter, stop: AbortSignal): Promise<void> {
  const over = new AbortController();
  const wanted = once(news, "wanted", { signal: over.signal }).catch(() => undefined);
  await pause(Math.min(ms, least), stop);
  if (news.listenerCount("connected") > 0) return over.abort();
  await Promise.race([pause(Math.max(0, ms - least), AbortSignal.any([stop, over.signal])), wanted]);
  over.abort();
}

/** Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
function backoffMs(failures: number, random: () => number): number {
  return random() * Math.min(FEED_LIMITS.backoffMaxMs, FEED_LIMITS.backoffBaseMs * 2 ** Math.min(failures, 10));
}

const pause = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done, { once: true });
  });

async function readStream(deps: Deps, state: FeedState, stop: AbortSignal): Promise<void> {
  const report = createAppliedReport(deps.control);
  const silence = new AbortController();
  const watchdog = setTimeout(() => silence.abort(new Error("silence")), FEED_LIMITS.silenceMs);
  try {
    const stream = await deps.control.changes(state.at, AbortSignal.any([stop, silence.signal]));
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      watchdog.refresh();
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > FEED_LIMITS.lineBytes) throw new Error("a line of the change stream is too long");
      for (const line of lines) if (line !== "") applyLine(deps, state, line);
      if (state.at !== undefined && state.snapshots === undefined) report(state.at);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

class FeedState {
  private readonly deps: Deps;
  /** Events: `connected`, and `wanted` when a caller of `reach` begins to wait for the stream. */
  readonly news = new EventEmitter().setMaxListeners(0);
  at: string | undefined = undefined;
  connected = false;
  primed = false;
  /** Of a snapshot that is not whole yet: how it goes on for each topic. */
  snapshots: Snapshot[] | undefined = undefined;
  constructor(deps: Deps) {
    this.deps = deps;
  }
  markConnected(): void {
    if (this.connected) return;
    this.connected = true;
    this.primed = true;
    this.deps.handlers.connected?.();
    this.news.emit("connected");
  }
}

function applyLine(deps: Deps, state: FeedState, line: string): void {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error("a line of the change stream is no JSON");
  }
  const parsed = changeSchema.safeParse(value);
  // A newer control plane may send kinds of changes that this gateway does not know; one such record must not stop the others.
  if (!parsed.success)
    return deps.warn("change not understood", { type: (value as { type?: unknown } | null)?.type, issue: parsed.error.issues[0]?.message });
  applyChange(deps, state, parsed.data);
}

function applyChange(deps: Deps, state: FeedState, change: Change): void {
  if (change.type === "snapshot-begin") {
    state.snapshots = deps.topics.map((topic) => topic.beginSnapshot());
    return;
  }
  if (state.snapshots !== undefined) return inSnapshot(deps, state, state.snapshots, change);
  applyLive(deps, change);
  state.at = change.at;
  if (change.type === "ping") state.markConnected(); // the first ping comes after all missed changes
}

function inSnapshot(deps: Deps, state: FeedState, snapshots: Snapshot[], change: Change): void {
  if (change.type === "snapshot-end") {
    state.snapshots = undefined;
    for (const snapshot of snapshots) snapshot.end();
    // Only now: a stream cut inside a snapshot must be asked for again from the older point.
    state.at = change.at;
    state.markConnected();
  } else if (!snapshots.some((snapshot) => snapshot.add(change))) applyLive(deps, change);
}

/** Applies a change to the topic that holds such data. */
function applyLive(deps: Deps, change: Change): void {
  if (!deps.topics.some((topic) => topic.apply(change))) deps.handlers.order?.(change);
}
