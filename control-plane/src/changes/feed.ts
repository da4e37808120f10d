// The change feed sends gateways what they hold in memory, first as a snapshot and then as a stream. A notice from the database only names
// an item; its present state is read again, one item after the other, so that an older answer never overtakes a newer one.
import { randomUUID } from "node:crypto";
import type { Change } from "../contract/internal.ts";
import type { Notice } from "../db/notify.ts";
import { createReaders } from "./readers.ts";
import type { Body, HeldTopic } from "./topic.ts";

/** Number of changes kept for readers that reconnect; a reader that missed more gets a snapshot. */
const RING = 10_000;
export type Subscriber = (change: Change) => void;

export function createChangeFeed(topics: readonly HeldTopic[]) {
  const stream = randomUUID();
  let seq = 0;
  const ring: Change[] = [];
  const subscribers = new Set<Subscriber>();
  const readers = createReaders();
  const at = () => `${stream}.${seq}`;
  const waiting = new Map<string, Promise<void>>();
  let tail: Promise<void> = Promise.resolve();

  /** Runs `work` after all earlier work. Work of one name that has not begun yet is done once, however often it is asked for. */
  function inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const known = waiting.get(name);
    if (known !== undefined) return known;
    const turn = tail.then(() => {
      waiting.delete(name);
      return work();
    });
    waiting.set(name, turn);
    tail = turn.catch(() => undefined);
    return turn;
  }

  function publish(body: Body): void {
    seq++;
    const change = { ...body, at: at() };
    ring.push(change);
    if (ring.length > RING) ring.shift();
    for (const subscriber of subscribers) subscriber(change);
  }

  async function refresh(topic: HeldTopic, id: string): Promise<void> {
    const body = await topic.refresh(id);
    if (body !== undefined) publish(body);
  }
  /** The number of a position in this stream; undefined for a position of another stream and for any other text. */
  function numberOf(position: string): number | undefined {
    const [theirs, text] = position.split(".");
    const number = Number(text);
    return theirs === stream && Number.isInteger(number) && number <= seq ? number : undefined;
  }

  /** The changes after `since`, or undefined when the ring no longer reaches back that far. */
  function missed(since: string | undefined): Change[] | undefined {
    const from = numberOf(since ?? "");
    if (from === undefined || seq - from > ring.length) return undefined;
    return ring.slice(ring.length - (seq - from));
  }

  async function readAll(): Promise<void> {
    const read = await Promise.all(topics.map((topic) => topic.readAll()));
    for (const each of read) each.swap(); // all in one turn of the event loop, because a snapshot must not mix two states
    ring.length = 0;
    seq++;
    for (const subscriber of subscribers) snapshot(subscriber);
  }

  function snapshot(to: Subscriber): void {
    to({ at: at(), type: "snapshot-begin" });
    for (const topic of topics) for (const body of topic.snapshot()) to({ ...body, at: at() });
    to({ at: at(), type: "snapshot-end" });
  }

  return {
    publish,
    /**
     * Reads all topics anew and sends every subscriber a snapshot: at the start, after a lost database connection, and every few minutes.
     */
    resync: () => inTurn("all", readAll),
    /** Calls `to` with the changes after `since` or a snapshot, then with every change; returns the function that ends the subscription. */
    subscribe(since: string | undefined, to: Subscriber): () => void {
      const late = missed(since);
      if (late === undefined) snapshot(to);
      else for (const change of late) to(change);
      subscribers.add(to);
      return () => void subscribers.delete(to);
    },
    position: at,
    async onNotice({ kind, id }: Notice): Promise<void> {
      const named = topics.find((topic) => topic.kind === kind);
      if (named !== undefined) await inTurn(id, () => refresh(named, id));
      if (topics.some((topic) => topic.broad.includes(kind))) await inTurn("all", readAll);
    },
    /** Registers a subscribed reader by name, so that answers can wait for it; returns the function that ends that. */
    joined: (reader: string) => readers.joined(reader),
    /** `reader` serves everything up to `position`. */
    applied(reader: string, position: string): void {
      const number = numberOf(position);
      if (number !== undefined) readers.applied(reader, number);
    },
    /**
     * Resolves when all earlier notices have been published and the connected gateways serve them, or their time for it is over. `late`
     * names the gateways that do not serve them, `serves` tells it of one gateway.
     */
    async settled(): Promise<{ late: string[]; serves(reader: string): boolean }> {
      await tail;
      const position = seq;
      return { late: await readers.caughtUp(position), serves: (reader) => readers.serves(reader, position) };
    },
  };
}
export type ChangeFeed = ReturnType<typeof createChangeFeed>;
