// The change feed: what gateways and egress proxies hold in memory, as a snapshot and then a stream. A notice from the database only names a thing;
// its present state is read again, one after the other, so that an answer that was read earlier never overtakes a later one.
//
// Readers pull: each has a place of its own in the stream, and what it has not taken yet lies nowhere but in the ring and in what is held.
import { randomUUID } from "node:crypto";
import type { Change } from "../contract/internal.ts";
import type { Notice } from "../db/notify.ts";
import { createWakeup } from "../service/wakeup.ts";
import { createReaders } from "./readers.ts";
import { createRing } from "./ring.ts";
import type { Audience, Body, HeldTopic, ItemChange } from "./topic.ts";
import { createTurns } from "./turns.ts";

/** Changes that a reader is given at a time. */
const BATCH = 200;
/** How often a reader is told that the stream stands, and where it is, milliseconds. */
const PING_MS = 5_000;

/** How soon something whose read failed is read again, and how long an answer waits for that; milliseconds. */
const AGAIN_MS = 500;
const UNREAD_MS = 3_000;

export interface FeedOptions {
  /** For tests. */
  ring?: number;
  pingMs?: number;
}

export function createChangeFeed(topics: readonly HeldTopic[], { ring: capacity, pingMs = PING_MS }: FeedOptions = {}) {
  const stream = randomUUID();
  const ring = createRing<Told>(capacity);
  const readers = createReaders();
  const { wake, changed } = createWakeup();
  const reads = createTurns();
  const rounds = createTurns();
  /** Notices were lost: until this has been read, nobody knows what is committed. */
  let lost: Promise<void> = Promise.resolve();
  const positionOf = (number: number) => `${stream}.${number}`;

  function push(audience: Audience, body: Body, key?: string): void {
    ring.push((number) => ({ audience, key, change: { ...body, at: positionOf(number) } }));
    wake();
  }
  const tell = ({ audience }: HeldTopic, changes: readonly ItemChange[]): void => {
    for (const { key, body } of changes) push(audience, body, key);
  };
  const refresh = (topic: HeldTopic, id: string) => reads.inTurn(`${topic.kind} ${id}`, async () => tell(topic, await topic.refresh(id)));

  /**
   * Notices whose read failed: a change that was answered as made must not stay untold until the next look at everything. `late`: an answer waited for
   * it in vain, and no other one waits: what can never be read must not hold up everybody's changes.
   */
  const unread = new Map<string, { late: boolean }>();
  async function read({ kind, id }: Notice): Promise<void> {
    const named = topics.find((topic) => topic.kind === kind);
    if (named !== undefined) await refresh(named, id);
    if (kind !== "tenant") return;
    for (const topic of topics) await reads.inTurn(`${topic.kind} of ${id}`, async () => tell(topic, await topic.refreshTenant(id)));
  }
  function again(notice: Notice): void {
    const key = `${notice.kind} ${notice.id}`;
    if (unread.has(key)) return;
    unread.set(key, { late: false });
    const attempt = () =>
      read(notice).then(
        () => {
          unread.delete(key);
          wake();
        },
        () => void setTimeout(attempt, AGAIN_MS).unref(),
      );
    setTimeout(attempt, AGAIN_MS).unref();
  }

  /** One page at a time, between which notices have their turn: all of it is a lot, and a deploy waits for its notice. */
  async function readAll(topic: HeldTopic): Promise<void> {
    const round = topic.beginRound();
    for (let after: string | undefined, more = true; more;) {
      await reads.inTurn(`${topic.kind} page ${round}`, async () => {
        const page = await topic.readPage(after);
        tell(topic, page.changes);
        after = page.next;
      });
      more = after !== undefined;
    }
    for (const id of topic.unseen()) await refresh(topic, id);
  }

  /** The number of a position in this stream; undefined for one of another stream, or for anything else. */
  function numberOf(position: string): number | undefined {
    const [theirs, text] = position.split(".");
    const number = Number(text);
    return theirs === stream && Number.isInteger(number) && number <= ring.last() ? number : undefined;
  }

  /**
   * All that is held, then what changed while it was read: so its end is a state that was. Undefined: more changed meanwhile than is kept.
   * Otherwise the number up to which it reaches.
   */
  async function* snapshot(audience: Audience): AsyncGenerator<Change[], number | undefined> {
    let reached = ring.last();
    const at = positionOf(reached);
    yield [{ at, type: "snapshot-begin" }];
    for (const topic of topics)
      if (topic.audience === audience) for (const bodies of batches(topic.snapshot())) yield bodies.map((body) => ({ ...body, at }));
    while (reached < ring.last()) {
      if (!ring.reaches(reached)) return undefined;
      const missed = newestOf(ring.after(reached), audience);
      reached = ring.last();
      yield* batches(missed);
    }
    yield [{ at: positionOf(reached), type: "snapshot-end" }];
    return reached;
  }

  async function* follow(since: string | undefined, signal: AbortSignal, audience: Audience = "gateways"): AsyncGenerator<Change[]> {
    let reached = numberOf(since ?? "");
    signal.addEventListener("abort", wake, { once: true });
    for (let pinged = Number.NEGATIVE_INFINITY; !signal.aborted;) {
      if (reached === undefined || !ring.reaches(reached)) reached = yield* snapshot(audience);
      else if (reached < ring.last()) {
        const missed = newestOf(ring.after(reached), audience);
        reached = ring.last();
        yield* batches(missed);
        // Answers wait for every reader: one that all of it was not for says at once that it has got there.
        if (missed.length === 0) yield [{ at: positionOf(reached), type: "ping" }];
      } else {
        const left = pinged + pingMs - performance.now();
        if (left > 0) await changed(left);
        else {
          pinged = performance.now();
          yield [{ at: positionOf(reached), type: "ping" }];
        }
      }
    }
  }

  return {
    /** An order to gateways. */
    publish: (order: Body): void => push("gateways", order),
    /**
     * Reads all of it anew and tells what is different: every few minutes, whatever notices said. `noticesLost`: at the start and after a
     * lost database connection; then answers of the API wait for it.
     */
    resync(noticesLost = false): Promise<void> {
      const round = rounds.inTurn("all", async () => {
        for (const topic of topics) await readAll(topic);
      });
      if (noticesLost) lost = round.catch(() => undefined);
      return round;
    },
    /** What a reader missed, or a snapshot if that is too much, then every change as it comes; in batches, as fast as they are taken. */
    follow,
    position: () => positionOf(ring.last()),
    /** Rejects when what it names could not be read; then it is asked for again until it can. */
    async onNotice(notice: Notice): Promise<void> {
      await read(notice).catch((error: unknown) => {
        again(notice);
        throw error;
      });
    },
    /** `reader`, which `follow`s, names itself, so that answers can wait for it; returns the way to end that. */
    joined: (reader: string, audience?: Audience) => readers.joined(reader, audience),
    /** `reader` serves everything up to `position`. */
    applied(reader: string, position: string): void {
      const number = numberOf(position);
      if (number !== undefined) readers.applied(reader, number);
    },
    /**
     * Resolves when all that was noticed before has been published and the gateways that listen serve it; with those that do not, and
     * whether a certain one, or a whole audience, does.
     */
    async settled(): Promise<Settled> {
      await lost;
      await reads.done();
      const awaited = () => [...unread.values()].filter(({ late }) => !late);
      for (let left = UNREAD_MS, end = performance.now() + left; awaited().length > 0 && left > 0; left = end - performance.now())
        await changed(left);
      for (const one of awaited()) one.late = true;
      const number = ring.last();
      const late = await readers.caughtUp(number);
      return {
        late: unread.size === 0 ? late : [...late, "what could not be read"],
        serves: (reader) => readers.serves(reader, number),
        allServe: (audience) => unread.size === 0 && readers.allServe(audience, number),
      };
    },
  };
}
export type ChangeFeed = ReturnType<typeof createChangeFeed>;

interface Settled {
  late: string[];
  serves(reader: string): boolean;
  /** Somebody of them is connected, and all of them serve it. */
  allServe(audience: Audience): boolean;
}

/** A change, whom it is for, and which item it is of; orders are of none. */
interface Told {
  audience: Audience;
  key: string | undefined;
  change: Change;
}

/**
 * Of each item the last change alone, in the order of the numbers: who is told late is not told what is no longer so. After a snapshot it would
 * also be a step back, since an item was given there as it was by then: a token that was revoked meanwhile would count for a moment.
 */
function newestOf(told: readonly Told[], whose: Audience): Change[] {
  const seen = new Set<string>();
  const newest = told.toReversed().filter(({ key, audience }) => {
    if (audience !== whose) return false;
    if (key === undefined) return true;
    const known = seen.has(key);
    seen.add(key);
    return !known;
  });
  return newest.toReversed().map(({ change }) => change);
}

function* batches<T>(items: Iterable<T>): Iterable<T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
