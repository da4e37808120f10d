// The change feed over a database whose answers the test holds back and lets go: late answers must not undo newer ones.
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { functionConfigSchema } from "../contract/config.ts";
import type { Change } from "../contract/internal.ts";
import { createChangeFeed, type ChangeFeed } from "./feed.ts";
import { createHeld } from "./topic.ts";
import { routesTopic, type LiveRow, type RouteSource } from "./topics/routes.ts";
import { tokensTopic, type TokenSource } from "./topics/tokens.ts";

type Row = LiveRow;
const held = (source: RouteSource & TokenSource) => ({ routes: createHeld(routesTopic(source)), tokens: createHeld(tokensTopic(source)) });
const functionId = randomUUID();
const rowOf = (number: number): Row =>
  ({
    tenant: { id: randomUUID(), slug: "acme", risk: "standard" },
    fn: { id: functionId, name: "hello" },
    version: { id: randomUUID(), number, config: functionConfigSchema.parse({ runtime: "node24" }) },
  }) as Row;

/** The version that is live now, and the feed's queries that are held back; each answers with the state at the time it was sent. */
let live: number | undefined;
let open: (() => void)[];
let routes: ReturnType<typeof held>["routes"];
let feed: ChangeFeed;
let seen: Change[];
let over: AbortController;
beforeEach(async () => {
  live = 1;
  open = [];
  const answer = <T>(value: T) => new Promise<T>((resolve) => open.push(() => resolve(value)));
  const row = () => (live === undefined ? undefined : rowOf(live));
  const topics = held({
    liveFunction: () => answer(row()),
    liveFunctions: () => answer(live === undefined ? [] : [rowOf(live)]),
    liveFunctionsOf: () => answer(live === undefined ? [] : [rowOf(live)]),
    activeToken: () => answer(undefined),
    activeTokens: () => Promise.resolve([]),
  });
  routes = topics.routes;
  feed = createChangeFeed([topics.routes, topics.tokens]);
  const synced = feed.resync();
  await answerAll();
  await synced;
  seen = [];
  over = new AbortController();
  void read(feed.position(), seen, over.signal);
  await answerAll();
});
afterEach(() => over.abort());
/** Pings left out. */
async function read(since: string | undefined, into: Change[], signal: AbortSignal): Promise<void> {
  for await (const batch of feed.follow(since, signal)) into.push(...batch.filter(({ type }) => type !== "ping"));
}
async function answerAll(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    for (const go of open.splice(0).toReversed()) go(); // the last question is answered first
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const notice = () => feed.onNotice({ kind: "function", id: functionId });
const served = () => routes.get(functionId)?.targets[0]?.version;

/** A feed whose database cannot be read for as long as `away` says so, and then has version 2. */
function failing(away: () => boolean) {
  const topics = held({
    liveFunction: () => (away() ? Promise.reject(new Error("away")) : Promise.resolve(rowOf(2))),
    liveFunctions: async () => [],
    liveFunctionsOf: async () => [],
    activeToken: async () => undefined,
    activeTokens: async () => [],
  });
  return { topics, broken: createChangeFeed([topics.routes, topics.tokens]) };
}

describe("notices", () => {
  test("of the same thing are read one after the other: the newest state wins", async () => {
    const first = notice();
    await new Promise((resolve) => setImmediate(resolve)); // its query has been sent by now
    live = 2;
    const second = notice();
    await answerAll();
    await Promise.all([first, second]);
    expect(served()).toBe(2);
    expect(seen.map((change) => (change.type === "route" ? change.route.targets[0]?.version : change.type))).toEqual([1, 2]);
  });

  test("are not undone by a resync that began before them", async () => {
    const resync = feed.resync();
    await new Promise((resolve) => setImmediate(resolve));
    live = 2;
    const late = notice();
    await answerAll();
    await Promise.all([resync, late]);
    expect(served()).toBe(2);
    expect(seen.at(-1)).toMatchObject({ type: "route", route: { targets: [{ version: 2 }] } });
  });

  test("that wait are read once, however many they are", async () => {
    const many = Array.from({ length: 100 }, notice);
    await answerAll();
    await Promise.all(many);
    expect(seen).toHaveLength(1);
  });

  test("of what is gone take the route away, once", async () => {
    live = undefined;
    const gone = notice();
    await answerAll();
    await gone;
    const again = notice();
    await answerAll();
    await again;
    expect(seen).toMatchObject([{ type: "route-removed", functionId }]);
  });

  test("that failed do not stop those that follow", async () => {
    const { broken, topics } = failing(() => live === 1);
    await expect(broken.onNotice({ kind: "function", id: functionId })).rejects.toThrow("away");
    live = 2;
    await broken.onNotice({ kind: "function", id: functionId });
    expect(topics.routes.get(functionId)?.targets[0]?.version).toBe(2);
  });

  test("that failed are read again, and answers wait for it", async () => {
    let away = true;
    const { broken, topics } = failing(() => away);
    await expect(broken.onNotice({ kind: "function", id: functionId })).rejects.toThrow("away");
    const settled = broken.settled();
    setTimeout(() => (away = false), 700);
    expect((await settled).late).toEqual([]);
    expect(topics.routes.get(functionId)?.targets[0]?.version).toBe(2);
    away = true;
    await expect(broken.onNotice({ kind: "function", id: functionId })).rejects.toThrow("away");
    expect((await broken.settled()).late).toEqual(["what could not be read"]);
    const waited = await Promise.race([
      broken.settled().then(() => "at once"),
      new Promise((resolve) => setTimeout(resolve, 1_000, "again")),
    ]);
    expect(waited).toBe("at once"); // one answer waits for what cannot be read, and no other
  });

  test("are all out when it says that it is settled", async () => {
    live = 2;
    void notice();
    const settled = feed.settled().then(served);
    await answerAll();
    expect(await settled).toBe(2);
  });

  test("are served by the gateways that listen when it says that it is settled", async () => {
    feed.joined("gateway");
    let settled = false;
    const change = notice();
    const settling = feed.settled().then(() => (settled = true));
    await answerAll();
    await change;
    feed.applied("gateway", `${randomUUID()}.99`); // a position of another stream is ignored
    feed.applied("gateway", "nonsense");
    await answerAll();
    expect(settled).toBe(false);
    feed.applied("gateway", feed.position());
    await settling;
  });
});

describe("a reader", () => {
  /** What it is told until it has all. */
  const types = async (since: string | undefined) => {
    const got: string[] = [];
    for await (const batch of feed.follow(since, over.signal)) {
      got.push(...batch.map(({ type }) => type));
      if (got.at(-1) === "ping") break;
    }
    return got.slice(0, -1);
  };
  test("that comes back gets what it missed", async () => {
    const since = feed.position();
    const change = notice();
    await answerAll();
    await change;
    expect(await types(since)).toEqual(["route"]);
    expect(await types(feed.position())).toEqual([]);
  });
  test.each([undefined, "", "nonsense", `${randomUUID()}.3`, "x.99"])(
    "that held nothing of this stream (%s) gets a snapshot",
    async (since) => {
      expect(await types(since)).toEqual(["snapshot-begin", "route", "snapshot-end"]);
    },
  );
});
