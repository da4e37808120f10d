// Who is heavy, on both sides of the limit. That the kernel is told is tested with real groups, in cpu-groups.test.ts.
import { expect, test } from "vitest";
import { LIGHT_FIRST, heavyOf } from "./light-first.ts";

const heavy = (used: Record<string, number>, processors = 2) => [...heavyOf(new Map(Object.entries(used)), processors)].toSorted();

test("up to half of an equal share a tenant goes before others, and above it yields", () => {
  expect(heavy({ a: 0.5, b: 1.5 })).toEqual(["b"]);
  expect(heavy({ a: 0.51, b: 1.49 })).toEqual(["a", "b"]);
});
test("one that is alone has the whole machine as its share", () => {
  expect(heavy({ a: 1 })).toEqual([]);
  expect(heavy({ a: 1.01 })).toEqual(["a"]);
});
test("who uses next to nothing makes nobody's share smaller", () => {
  const idle = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`idle-${at}`, LIGHT_FIRST.present / 2]));
  expect(heavy({ ...idle, a: 0.9 })).toEqual([]);
  const there = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`there-${at}`, LIGHT_FIRST.present]));
  expect(heavy({ ...there, a: 0.9 })).toEqual([...Object.keys(there), "a"].toSorted());
});
test("those who go first leave half of the machine, however many they are", () => {
  for (const tenants of [1, 2, 3, 10, 40]) {
    const share = 8 / tenants;
    const used = Object.fromEntries(Array.from({ length: tenants }, (_, at) => [`t${at}`, share * LIGHT_FIRST.light]));
    expect(heavy(used, 8)).toEqual([]);
    expect(Object.values(used).reduce((sum, amount) => sum + amount, 0)).toBeLessThanOrEqual(4.000001);
  }
});
