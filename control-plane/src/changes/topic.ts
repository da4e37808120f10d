// A kind of thing that gateways, or egress proxies, hold in memory: how one, a tenant's and all of it are read, and how a change of it is said. A new kind is
// one file in `topics/`, and one in the gateway's `replica/`.
import type { Change } from "../contract/internal.ts";
import type { Notice } from "../db/notify.ts";

/** Who is told: each is told nothing that is the other's, such as tokens. */
export type Audience = "gateways" | "egress";

/** A change before it has its place in the stream. */
export type Body = Change extends infer C ? (C extends { at: string } ? Omit<C, "at"> : never) : never;

/** Items in an order of the topic's own. */
export interface Page<Item> {
  items: Item[];
  /** Where the next page begins; undefined: this was the last one. */
  next: string | undefined;
}

export interface Topic<Item> {
  /** Notices of this kind name one item by its id. */
  kind: Notice["kind"];
  audience: Audience;
  /** undefined: there is none any more. The order of answers is not that of the questions. */
  one(id: string): PromiseLike<Item | undefined>;
  /** A bounded number of items, the first ones or those after `after`. */
  page(after: string | undefined): PromiseLike<Page<Item>>;
  /** All of one tenant's, which are few; only where a change of the tenant changes them. */
  ofTenant?: (tenantId: string) => PromiseLike<Item[]>;
  idOf(item: Item): string;
  tenantOf(item: Item): string;
  changed(item: Item): Body;
  removed(id: string): Body;
}

/** A change of one item. */
export interface ItemChange {
  /** The same for all changes of the item, and for nothing else's. */
  key: string;
  body: Body;
}

interface Entry<Item> {
  item: Item;
  /** The look at all items in which this one was last seen to exist. */
  round: number;
}

/** What is held of a topic, as it was last read. Every read answers what it found changed, which is all that has to be told. */
export function createHeld<Item>(topic: Topic<Item>) {
  const entries = new Map<string, Entry<Item>>();
  let round = 0;

  const keyed = (id: string, body: Body): ItemChange => ({ key: `${topic.kind}/${id}`, body });
  function put(item: Item): ItemChange[] {
    const known = entries.get(topic.idOf(item));
    if (known !== undefined && JSON.stringify(known.item) === JSON.stringify(item)) {
      known.round = round;
      return [];
    }
    entries.set(topic.idOf(item), { item, round });
    return [keyed(topic.idOf(item), topic.changed(item))];
  }
  const drop = (id: string): ItemChange[] => (entries.delete(id) ? [keyed(id, topic.removed(id))] : []);

  return {
    kind: topic.kind,
    audience: topic.audience,
    get: (id: string): Item | undefined => entries.get(id)?.item,
    *values(): Iterable<Item> {
      for (const { item } of entries.values()) yield item;
    },
    async refresh(id: string): Promise<ItemChange[]> {
      const item = await topic.one(id);
      return item === undefined ? drop(id) : put(item);
    },
    /** A tenant was changed, and with it whatever says something of the tenant. */
    async refreshTenant(tenantId: string): Promise<ItemChange[]> {
      if (topic.ofTenant === undefined) return [];
      const items = await topic.ofTenant(tenantId);
      const there = new Set(items.map((item) => topic.idOf(item)));
      const gone: string[] = [];
      for (const [id, { item }] of entries) if (topic.tenantOf(item) === tenantId && !there.has(id)) gone.push(id);
      return [...items.flatMap(put), ...gone.flatMap(drop)];
    },
    /** A look at all items begins. It is made of pages, and of a `refresh` of each id that is `unseen` at its end. */
    beginRound: (): number => (round += 1),
    async readPage(after: string | undefined): Promise<{ changes: ItemChange[]; next: string | undefined }> {
      const { items, next } = await topic.page(after);
      return { changes: items.flatMap(put), next };
    },
    /** Held, and on no page of this round: most likely gone, but it may also have moved between two pages. */
    unseen(): string[] {
      const ids: string[] = [];
      for (const [id, entry] of entries) if (entry.round < round) ids.push(id);
      return ids;
    },
    /** May be read on while items change: each is given once or more, as it then is. */
    *snapshot(): Iterable<Body> {
      for (const { item } of entries.values()) yield topic.changed(item);
    },
  };
}
export type Held<Item> = ReturnType<typeof createHeld<Item>>;
/** As much as the feed needs to know. */
export type HeldTopic = Omit<Held<unknown>, "get" | "values">;
