// Follows a function's log on all nodes. Records that are kept already come first, merged by time; then each new record as its node sends
// it. Log agents may appear and disappear meanwhile: a new one is asked for the records its node wrote since the start, a lost one is
// waited for.
import { PassThrough, type Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import type { LogQuery, LogRecord } from "../../contract/logs.ts";
import { COLLECTOR } from "../keep/limits.ts";
import { writeLines } from "../../service/http/write-lines.ts";
import type { Agent } from "./log-agents-client.ts";
import { SILENT_MS, untilSilent } from "./silence.ts";
import { createNewest } from "./newest.ts";
import { absence, records, type OpenOne } from "./read.ts";

/** How often the list of agents is read. */
const LOOK_MS = 1_000;
/** Kept records of a node that answers later than this follow those of the other nodes. */
const FIRST_MS = 5_000;
/** How long a followed agent may stay away before a record says so. */
const AWAY_MS = 30_000;
/** Longest time between a line's writing and its keeping: an instance may be named late, or an agent may have been away. */
const LATE_MS = 5 * 60_000;
const MAX_LIMIT = 10_000;

export interface FollowTimes {
  silentMs: number;
  awayMs: number;
}
const TIMES: FollowTimes = { silentMs: SILENT_MS, awayMs: AWAY_MS };

export interface FollowInput {
  agents(): Promise<Agent[]>;
  openOne: OpenOne;
  query: LogQuery;
  signal: AbortSignal;
  times?: FollowTimes | undefined;
  onError(error: unknown): void;
}
/** How far a node's records were passed on. The numbers of one node's records always grow, even when its agent restarts. */
interface Progress {
  seq: number;
  at: number;
}

export async function followAll({ agents, openOne, query, signal, times = TIMES, onError }: FollowInput): Promise<Readable> {
  const out = new PassThrough();
  const end = new AbortController();
  const both = AbortSignal.any([signal, end.signal]);
  const begun = Date.now();
  const progress = new Map<string, Progress>();
  const followed = new Map<string, Agent>();
  /** Since when a node does not answer; null: a record has said so already. */
  const away = new Map<string, number | null>();
  /** Nodes that fell silent, with the error; a node that is gone for good may no longer be in the list of agents. */
  const silent = new Map<string, unknown>();
  out.on("close", () => end.abort());
  both.addEventListener("abort", () => out.destroy(), { once: true });

  /** New records, which wait here until the kept ones are written. */
  let late: LogRecord[] | undefined = [];
  function send(record: LogRecord): void {
    if (out.destroyed) return;
    if (late !== undefined) {
      late.push(record);
      if (late.length > COLLECTOR.followLateRecords) out.destroy();
      return;
    }
    out.write(`${JSON.stringify(record)}\n`);
    if (out.writableLength + out.readableLength > COLLECTOR.followBacklogBytes) out.destroy();
  }
  function passOn(node: string, record: LogRecord): void {
    const before = progress.get(node);
    if (before !== undefined && record.seq <= before.seq) return;
    progress.set(node, { seq: record.seq, at: Math.max(record.at, before?.at ?? 0) });
    send(record);
  }
  /**
   * Reports a missing node once, and only if it never answered or stays away for `awayMs`: an agent that is being replaced loses no lines.
   */
  function complain(node: string, error: unknown): void {
    const from = away.get(node);
    if (from === null) return;
    const since = from ?? Date.now();
    const say = !progress.has(node) || Date.now() - since > times.awayMs;
    away.set(node, say ? null : since);
    if (!say) return;
    send(absence(node));
    onError(error);
  }
  function fellSilent(node: string): void {
    silent.set(node, new PlatformError("UNAVAILABLE", `The log agent of node ${node} fell silent.`));
    away.set(node, Date.now() - times.silentMs); // the node may have been away since then
  }
  /** Resolves when the agent's answer ends. `onKept` gets the records that were kept already, one by one, and then `undefined`. */
  async function follow(agent: Agent, own: LogQuery, onKept: (record: LogRecord | undefined) => void): Promise<void> {
    const { node } = agent.place;
    followed.set(node, agent);
    try {
      const { body, kept, keepsAlive } = await openOne(agent, own, both);
      away.delete(node);
      silent.delete(node);
      let left = kept;
      if (left === 0) onKept(undefined);
      for await (const record of records(keepsAlive ? untilSilent(body, times.silentMs, () => fellSilent(node)) : body)) {
        if (left <= 0) passOn(node, record);
        else onKept(record);
        if (--left === 0) onKept(undefined);
      }
    } catch (error) {
      if (!both.aborted) complain(node, error);
    } finally {
      onKept(undefined);
      if (followed.get(node) === agent) followed.delete(node);
    }
  }
  /**
   * The time from which a node is asked for records: LATE_MS before its last record if the node was followed before, otherwise LATE_MS
   * before this reader began.
   */
  const since = (node: string): number => Math.max((progress.get(node)?.at ?? begun) - LATE_MS, query.since ?? 0);
  function resume(agent: Agent): void {
    const { node } = agent.place;
    const isNew = (record: LogRecord) => progress.has(node) || record.at >= begun;
    const own = { ...query, since: since(node), limit: MAX_LIMIT };
    void follow(agent, own, (record) => void (record !== undefined && isNew(record) && passOn(node, record)));
  }

  async function begin(there: Agent[]): Promise<void> {
    const first = createNewest({ records: query.limit, bytes: LIMITS.logBytesPerFunction });
    let collecting = true;
    const histories = there.map(
      (agent) =>
        new Promise<void>((resolve) => {
          const { node } = agent.place;
          void follow(agent, query, (record) => {
            if (record === undefined) return resolve();
            if (!collecting) return passOn(node, record);
            progress.set(node, { seq: record.seq, at: Math.max(record.at, progress.get(node)?.at ?? 0) });
            first.add(record);
          });
        }),
    );
    await Promise.race([Promise.all(histories), sleep(FIRST_MS, undefined, { ref: false })]);
    collecting = false;
    await writeLines(out, first.all());
    const waiting = late ?? [];
    late = undefined;
    for (const record of waiting) send(record);
  }
  async function goOn(): Promise<void> {
    while (!both.aborted) {
      await sleep(LOOK_MS, undefined, { signal: both }).catch(() => undefined);
      if (both.aborted) return;
      for (const [node, error] of silent) complain(node, error);
      const now = await agents().catch((error: unknown) => (onError(error), []));
      for (const agent of now) if (followed.get(agent.place.node) === undefined) resume(agent);
    }
  }
  const there = await agents();
  void begin(there).then(goOn).catch(onError);
  return out;
}
