// A kind of thing that gateways hold in memory: how one item and how all items are read, and how a change becomes a line of the stream. A
// new kind is one file in `topics/`, and one in the gateway's `replica/`.
import type { Change } from "../contract/internal.ts";
import type { Notice } from "../db/notify.ts";

/** A change without its position in the stream. */
export type Body = Change extends infer C ? (C extends { at: string } ? Omit<C, "at"> : never) : never;

export interface Topic<Item> {
  /** Notices of this kind name one item by its id. */
  kind: Notice["kind"];
  /** Notices of these kinds say that any of them may have changed. */
  broad: readonly Notice["kind"][];
  /** Reads one item; undefined when it no longer exists. Answers may come in another order than the calls. */
  one(id: string): PromiseLike<Item | undefined>;
  all(): PromiseLike<Item[]>;
  idOf(item: Item): string;
  changed(item: Item): Body;
  removed(id: string): Body;
}

/** Holds all items of a topic as they were last read. */
export function createHeld<Item>(topic: Topic<Item>) {
  let items = new Map<string, Item>();
  return {
    kind: topic.kind,
    broad: topic.broad,
    get: (id: string): Item | undefined => items.get(id),
    values: (): Iterable<Item> => items.values(),
    /** Reads one item anew; returns the change to publish, if there is one. */
    async refresh(id: string): Promise<Body | undefined> {
      const item = await topic.one(id);
      if (item === undefined) return items.delete(id) ? topic.removed(id) : undefined;
      items.set(id, item);
      return topic.changed(item);
    },
    /** Reads all items anew; they take the place of the old ones when `swap` is called. */
    async readAll(): Promise<{ swap(): void }> {
      const read = new Map((await topic.all()).map((item) => [topic.idOf(item), item]));
      return { swap: () => void (items = read) };
    },
    *snapshot(): Iterable<Body> {
      for (const item of items.values()) yield topic.changed(item);
    },
  };
}
export type Held<Item> = ReturnType<typeof createHeld<Item>>;
/** The part of `Held` that the feed uses. */
export type HeldTopic = Pick<Held<unknown>, "kind" | "broad" | "refresh" | "readAll" | "snapshot">;
