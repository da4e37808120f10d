// Which tenants are heavy, on both sides of the limit, and how that is found out over time. That the kernel is told is tested with real
// groups, in cpu-groups.test.ts.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LIGHT_FIRST, createLightFirst, heavyOf, shareOf } from "./light-first.ts";

const heavy = (used: Record<string, number>, processors = 2) => [...heavyOf(new Map(Object.entries(used)), processors)].toSorted();

describe("a tenant", () => {
  test("goes before others up to half of an equal share, and above it yields", () => {
    expect(heavy({ a: 0.5, b: 1.5 })).toEqual(["b"]);
    expect(heavy({ a: 0.51, b: 1.49 })).toEqual(["a", "b"]);
  });
  test("that is alone has the whole machine as its share", () => {
    expect(heavy({ a: 1 })).toEqual([]);
    expect(heavy({ a: 1.01 })).toEqual(["a"]);
  });
  test("that uses little makes nobody's share smaller than by what it uses", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`small-${at}`, 0.004]));
    expect(heavy({ ...many, hog: 1.5 })).toEqual(["hog"]);
    expect(heavy({ ...many, other: 0.39 })).toEqual([]);
    expect(heavy({ ...many, other: 0.41 })).toEqual(["other"]);
  });
  test("that yields has an equal share at least, whatever those that go first use", () => {
    const amounts = fc.array(fc.double({ min: 0.001, max: 8, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(amounts, (all) => {
        const scale = Math.min(1, 8 / all.reduce((sum, one) => sum + one, 0)); // together no more than all processors
        const used = new Map(all.map((amount, at) => [`t${at}`, amount * scale]));
        const yielding = heavyOf(used, 8);
        const first = [...used].filter(([tenantId]) => !yielding.has(tenantId)).reduce((sum, [, amount]) => sum + amount, 0);
        const busiest = Math.max(...used.values());
        // The tenants that go first leave at least an equal share, or as much as the busiest tenant used if that is less.
        if (yielding.size > 0) expect(8 - first).toBeGreaterThanOrEqual(Math.min(8 / used.size, busiest) - 1e-9);
        expect(shareOf(used.values(), 8)).toBeGreaterThanOrEqual(8 / used.size - 1e-9);
      }),
    );
  });
});

describe("over time", () => {
  /** Seconds of processor time that each instance has used so far. */
  let seconds: Map<string, number>;
  let told: string[];
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    seconds = new Map();
    told = [];
  });
  afterEach(() => vi.useRealTimers());
  let total = 0;
  function open() {
    total = 0;
    const first = createLightFirst({
      processors: 2,
      total: () => total,
      of: (_tenantId, id) => seconds.get(id),
      judged: (tenantId) => void told.push(`${tenantId} ${first.isHeavy(tenantId) ? "yields" : "goes first"}`),
    });
    return first;
  }
  /** Lets `ms` milliseconds pass in which each instance uses as many processors as `rates` says. */
  async function pass(ms: number, rates: Record<string, number>): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      for (const [id, rate] of Object.entries(rates)) seconds.set(id, (seconds.get(id) ?? 0) + rate * 0.01);
      total += Object.values(rates).reduce((sum, rate) => sum + rate, 0) * 0.01;
      await vi.advanceTimersByTimeAsync(10);
    }
  }

  test("one that begins to use much yields within two looks and the first, and no longer soon after it has ended", async () => {
    const first = open();
    first.add("hog", "h");
    first.add("quiet", "q");
    await pass(1_000, { q: 0.1 });
    await pass(3 * LIGHT_FIRST.everyMs + 20, { q: 0.1, h: 1.9 });
    expect(first.isHeavy("hog")).toBe(true);
    await pass(2_000, { q: 0.1 });
    expect(first.isHeavy("hog")).toBe(false);
    expect(told).toEqual(["hog yields", "hog goes first"]);
  });
  test.each([
    [150, 250, 0],
    [200, 250, 0],
    [100, 300, 0.4],
  ])("one that uses all of it for %i ms, then for %i ms %f, yields most of the time", async (on, off, between) => {
    const first = open();
    first.add("pulse", "p");
    first.add("quiet", "q");
    let yields = 0;
    for (let turn = 0; turn < 40; turn++) {
      await pass(on, { q: 0.1, p: 1.9 });
      yields += first.isHeavy("pulse") ? 1 : 0;
      await pass(off, { q: 0.1, p: between });
    }
    expect(yields).toBeGreaterThan(on === 100 ? 20 : 30);
    expect(first.isHeavy("quiet")).toBe(false);
  });
  test("what an instance took counts although it ended before anybody looked", async () => {
    const first = open();
    first.add("quiet", "q");
    let yields = 0;
    for (let turn = 0; turn < 60; turn++) {
      first.add("short", `s${turn}`);
      await pass(100, { q: 0.1, [`s${turn}`]: 1.8 });
      first.remove(`s${turn}`);
      seconds.delete(`s${turn}`);
      yields += first.isHeavy("short") ? 1 : 0;
    }
    expect(yields).toBeGreaterThan(45);
  });
  test("an instance that is told of twice is counted once, from the first time", async () => {
    const first = open();
    first.add("hog", "h");
    first.add("quiet", "q");
    for (let turn = 0; turn < 20; turn++) {
      await pass(100, { q: 0.1, h: 1.9 });
      first.add("hog", "h");
    }
    expect(first.isHeavy("hog")).toBe(true);
  });
  test("it ends when there is nobody to look at", async () => {
    const first = open();
    first.add("one", "a");
    await pass(1_000, { a: 1.9 });
    first.remove("a");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
