// Which sandboxes are given up as silent, and how many knocks that takes.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Knock, Place } from "./knock.ts";
import { PULSE, createPulse, type Pulse } from "./pulse.ts";

let pulse: Pulse;
let errors: unknown[];
/** The result of a knock, by the sandbox's host; `there` by default. */
let shows: Map<string, Knock>;
let looks: Map<string, number>;
/** Knocks under way, and the most that were under way at once. */
let open: number;
let most: number;
beforeEach(() => {
  vi.useFakeTimers();
  [shows, looks, errors, open, most] = [new Map(), new Map(), [], 0, 0];
  const knock = async ({ host }: Place, timeoutMs: number): Promise<Knock> => {
    const seen = shows.get(host) ?? "there";
    looks.set(host, (looks.get(host) ?? 0) + 1);
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, seen === "silent" ? timeoutMs : 1));
    open--;
    return seen;
  };
  pulse = createPulse({ knock, onError: (error) => void errors.push(error) });
});
afterEach(() => {
  pulse.close();
  vi.useRealTimers();
});
const some = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${index}`);
const watch = (ids: readonly string[], tenantOf = (id: string) => `of ${id}`) =>
  pulse.watch(new Map(ids.map((id) => [id, { host: id, port: 1, tenant: tenantOf(id) }])));
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const WHOLE_ROUND_MS = PULSE.everyMs + 200;
const GIVEN_UP_MS = WHOLE_ROUND_MS + PULSE.misses * (PULSE.waitMs + PULSE.againMs + 100);

test("who is silent several times in a row is given up, within ten seconds; others are not", async () => {
  watch(some(3));
  await pass(WHOLE_ROUND_MS);
  shows.set("s1", "silent");
  await pass(GIVEN_UP_MS);
  expect(GIVEN_UP_MS).toBeLessThan(10_000);
  expect([...pulse.silent()]).toEqual(["s1"]);
});

test("an answer in between counts anew", async () => {
  watch(some(3));
  shows.set("s1", "silent");
  await pass(200 + (PULSE.misses - 1) * (PULSE.waitMs + PULSE.againMs)); // in the middle of the last knock
  expect(looks.get("s1")).toBe(PULSE.misses);
  shows.set("s1", "there");
  await pass(PULSE.waitMs + PULSE.againMs + 200);
  expect([...pulse.silent()]).toEqual(["s1"]); // the knock that was under way still counts as silent
  pulse.watch(new Map());
  watch(some(3));
  shows.set("s1", "silent");
  await pass(200 + PULSE.waitMs);
  shows.set("s1", "there");
  await pass(3 * WHOLE_ROUND_MS);
  expect([...pulse.silent()]).toEqual([]);
});

test("a fault of this side is no silence", async () => {
  watch(some(3));
  shows.set("s1", "unknown");
  await pass(5 * WHOLE_ROUND_MS);
  expect([...pulse.silent()]).toEqual([]);
});

test("when most of them are silent, none is given up, and that is said once; it is over when they answer", async () => {
  watch(some(9));
  for (const id of some(5)) shows.set(id, "silent");
  await pass(2 * GIVEN_UP_MS);
  expect([...pulse.silent()]).toEqual([]);
  expect([...pulse.silent()]).toEqual([]);
  expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining("5 of 9") })]);
  shows.delete("s0");
  await pass(2 * WHOLE_ROUND_MS);
  expect([...pulse.silent()].toSorted()).toEqual(["s1", "s2", "s3", "s4"]);
});

test("one tenant's sandboxes may all be silent: they are given up, and so are others that are dead", async () => {
  watch(some(12), (id) => (Number(id.slice(1)) < 8 ? "deaf" : `of ${id}`));
  for (const id of [...some(8), "s9"]) shows.set(id, "silent");
  await pass(2 * GIVEN_UP_MS);
  expect([...pulse.silent()].toSorted()).toEqual([...some(8), "s9"]);
  expect(errors).toEqual([]);
});

test("of three, all may be silent", async () => {
  watch(some(3));
  for (const id of some(3)) shows.set(id, "silent");
  await pass(GIVEN_UP_MS);
  expect(pulse.silent().size).toBe(3);
});

test("10,000 are all looked at in twenty seconds, evenly and not too many at a time", async () => {
  watch(some(10_000));
  await pass((10_000 / PULSE.perSecond) * 1000);
  expect(looks.size).toBe(10_000);
  expect(Math.max(...looks.values())).toBe(1);
  expect(most).toBeLessThanOrEqual(PULSE.perSecond / 10);
});

test("dead ones do not take all the looks: the others have theirs", async () => {
  const dead = some(400);
  watch([...dead, ...Array.from({ length: 1_000 }, (_, index) => `live${index}`)]);
  for (const id of dead) shows.set(id, "silent");
  await pass(60_000);
  expect(most).toBeLessThanOrEqual(PULSE.atOnce);
  expect(pulse.silent().size).toBe(400);
  expect(Math.min(...Array.from({ length: 1_000 }, (_, index) => looks.get(`live${index}`) ?? 0))).toBeGreaterThanOrEqual(2);
});

test("who is gone, and after the end, is not looked at", async () => {
  watch(some(3));
  await pass(WHOLE_ROUND_MS);
  watch(["s0"]);
  looks.clear();
  await pass(2 * WHOLE_ROUND_MS);
  expect([...looks.keys()]).toEqual(["s0"]);
  pulse.close();
  looks.clear();
  await pass(2 * WHOLE_ROUND_MS);
  expect([...looks.keys()]).toEqual([]);
});
