// What readers of the change feed are told, whatever changes while they read and however slowly they do. The items are numbers that the test
// changes; pages hold two of them.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { Change, TokenRecord } from "../contract/internal.ts";
import { createChangeFeed, type ChangeFeed } from "./feed.ts";
import { createHeld } from "./topic.ts";

const [A, B] = [randomUUID(), randomUUID()];
const PAGE = 2;
let rows: Map<string, { tenantId: string; value: number }>;
let reads: string[];
let feed: ChangeFeed;
/** Called between two pages of a look at all items. */
let betweenPages: () => void;

const record = (tokenId: string, { tenantId, value }: { tenantId: string; value: number }): TokenRecord => ({
  tokenId,
  tenantId,
  hash: String(value),
  scopes: [],
  expiresAt: null,
});
function heldRows() {
  const sorted = () => [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([id, row]) => record(id, row));
  return createHeld<TokenRecord>({
    kind: "token",
    audience: "gateways",
    async one(id) {
      reads.push(id);
      const row = rows.get(id);
      return row && record(id, row);
    },
    async page(after) {
      const items = sorted()
        .filter(({ tokenId }) => after === undefined || tokenId > after)
        .slice(0, PAGE);
      betweenPages();
      return { items, next: items.length < PAGE ? undefined : items.at(-1)?.tokenId };
    },
    async ofTenant(tenantId) {
      reads.push(`of ${tenantId}`);
      return sorted().filter((item) => item.tenantId === tenantId);
    },
    idOf: ({ tokenId }) => tokenId,
    tenantOf: ({ tenantId }) => tenantId,
    changed: (token) => ({ type: "token", token }),
    removed: (tokenId) => ({ type: "token-removed", tokenId }),
  });
}

beforeEach(async () => {
  rows = new Map(["a", "b", "c", "d", "e"].map((id, value) => [id, { tenantId: id < "d" ? A : B, value }]));
  reads = [];
  betweenPages = () => undefined;
  feed = createChangeFeed([heldRows()], { ring: 4, pingMs: 20 });
  await feed.resync();
});
const set = (id: string, value: number, tenantId = A) => rows.set(id, { tenantId, value });
const notice = (id: string) => feed.onNotice({ kind: "token", id });

/** A gateway's table, as a reader that takes a batch at a time would fill it. */
class Reader {
  readonly table = new Map<string, number>();
  readonly types: string[] = [];
  at: string | undefined;
  private unnamed = new Set<string>();
  private readonly over = new AbortController();
  private readonly batches: AsyncGenerator<Change[]>;
  constructor(since?: string) {
    this.batches = feed.follow(since, this.over.signal);
  }
  async take(): Promise<string> {
    const { value } = await this.batches.next();
    for (const change of value as Change[]) this.apply(change);
    return this.types.at(-1)!;
  }
  /** Until it has been told that it has all. */
  async catchUp(): Promise<Map<string, number>> {
    while ((await this.take()) !== "ping");
    return this.table;
  }
  private apply(change: Change): void {
    this.types.push(change.type);
    this.at = change.at;
    if (change.type === "snapshot-begin") this.unnamed = new Set(this.table.keys());
    if (change.type === "snapshot-end") for (const id of this.unnamed) this.table.delete(id);
    if (change.type === "token") {
      this.table.set(change.token.tokenId, Number(change.token.hash));
      this.unnamed.delete(change.token.tokenId);
    }
    if (change.type === "token-removed") this.table.delete(change.tokenId);
  }
}
const truth = () => new Map([...rows].map(([id, { value }]) => [id, value]));

describe("a reader", () => {
  test("has what there is, whatever changes between its begin and its end", async () => {
    const reader = new Reader();
    expect(await reader.take()).toBe("snapshot-begin");
    set("a", 10);
    await notice("a");
    rows.delete("b");
    await notice("b");
    set("x", 11);
    await notice("x");
    expect(await reader.catchUp()).toEqual(truth());
    expect(reader.types.filter((type) => type.startsWith("snapshot"))).toEqual(["snapshot-begin", "snapshot-end"]);
  });

  test("that is behind by as many as are kept gets those; behind by one more, all that there is", async () => {
    for (const [changes, begins] of [
      [4, 1],
      [5, 2],
    ] as const) {
      const reader = new Reader();
      await reader.catchUp();
      for (let i = 0; i < changes; i++) {
        set("a", 100 * changes + i);
        await notice("a");
      }
      expect(await reader.catchUp()).toEqual(truth());
      expect(reader.types.filter((type) => type === "snapshot-begin")).toHaveLength(begins);
    }
  });

  test("whose snapshot takes so long that more changes than are kept gets another one", async () => {
    const reader = new Reader();
    await reader.take();
    for (let i = 0; i < 9; i++) {
      set("a", 50 + i);
      await notice("a");
    }
    expect(await reader.catchUp()).toEqual(truth());
    expect(reader.types.filter((type) => type.startsWith("snapshot"))).toEqual(["snapshot-begin", "snapshot-begin", "snapshot-end"]);
  });

  test("is never told what is no longer so: not after a snapshot that said it already, and not when it comes late", async () => {
    for (const since of [undefined, feed.position()]) {
      const reader = new Reader(since);
      if (since === undefined) await reader.take();
      set("t", 7);
      await notice("t");
      rows.delete("t");
      await notice("t");
      set("a", 8);
      await notice("a");
      set("a", 9);
      await notice("a");
      const values: (number | undefined)[] = [];
      for (let type = ""; type !== "ping";) {
        type = await reader.take();
        expect(reader.table.has("t")).toBe(false);
        values.push(reader.table.get("a"));
      }
      expect(values.filter((value) => value === 8)).toEqual([]);
      expect(values.at(-1)).toBe(9);
    }
  });

  test("that was cut goes on where it was", async () => {
    const reader = new Reader();
    await reader.catchUp();
    set("a", 10);
    await notice("a");
    const again = new Reader(reader.at);
    await again.catchUp();
    expect(again.types).toEqual(["token", "ping"]);
  });
});

describe("a look at all items", () => {
  test("tells what is different and nothing else", async () => {
    const reader = new Reader(feed.position());
    await feed.resync();
    set("a", 10); // its notice was lost
    rows.delete("c");
    set("f", 12);
    await feed.resync();
    await reader.catchUp();
    expect(reader.types.toSorted()).toEqual(["ping", "token", "token", "token-removed"]);
    expect(Object.fromEntries(reader.table)).toEqual({ a: 10, f: 12 });
    expect(reads).toEqual(["c"]); // asked for by its name before it is given up
  });

  test("keeps what was there all the time, and takes up what came between two pages", async () => {
    const reader = new Reader();
    await reader.catchUp();
    betweenPages = () => {
      betweenPages = () => undefined;
      set("0", 1); // before what has been read
      void notice("0");
      set("zz", 2);
    };
    await feed.resync();
    expect(await reader.catchUp()).toEqual(truth());
  });

  test("lets notices in between its pages", async () => {
    const order: string[] = [];
    betweenPages = () => order.push("page");
    const all = feed.resync();
    await Promise.resolve();
    const one = notice("a").then(() => order.push("notice"));
    await Promise.all([all, one]);
    expect(order.indexOf("notice")).toBeGreaterThan(-1);
    expect(order.indexOf("notice")).toBeLessThan(order.lastIndexOf("page"));
  });
});

test("a change of a tenant reads and tells its own items alone", async () => {
  const reader = new Reader(feed.position());
  set("d", 40, B);
  rows.delete("e");
  await feed.onNotice({ kind: "tenant", id: B });
  await reader.catchUp();
  expect(reader.types).toEqual(["token", "token-removed", "ping"]);
  expect(reads).toEqual([`of ${B}`]);
});
