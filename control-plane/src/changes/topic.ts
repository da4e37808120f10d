// A kind of thing that gateways hold in memory: how one and how all of it are read, and how a change of it is said. A new kind is one file in
// `topics/`, and one in the gateway's `replica/`.
import type { Change } from "../contract/internal.ts";
import type { Notice } from "../db/notify.ts";

/** A change before it has its place in the stream. */
export type Body = Change extends infer C ? (C extends { at: string } ? Omit<C, "at"> : never) : never;

export interface Topic<Item> {
  /** Notices of this kind name one item by its id. */
  kind: Notice["kind"];
  /** Notices of these kinds say that any of them may have changed. */
  broad: readonly Notice["kind"][];
  /** undefined: there is none any more. The order of answers is not that of the questions. */
  one(id: string): PromiseLike<Item | undefined>;
  all(): PromiseLike<Item[]>;
  idOf(item: Item): string;
  changed(item: Item): Body;
  removed(id: string): Body;
}

/** What is held of a topic, as it was last read. */
export function createHeld<Item>(topic: Topic<Item>) {
  let items = new Map<string, Item>();
  return {
    kind: topic.kind,
    broad: topic.broad,
    get: (id: string): Item | undefined => items.get(id),
    values: (): Iterable<Item> => items.values(),
    /** Reads one item anew; answers what is to be said of it, if anything. */
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
/** As much as the feed needs to know. */
export type HeldTopic = Pick<Held<unknown>, "kind" | "broad" | "refresh" | "readAll" | "snapshot">;
