// Places for builders are few and shared, and builders that hang do not hold them.
import { expect, test } from "vitest";
import { ACTIVE_MS, SLOW_BUILD_MS, createSlots } from "./slots.ts";

function slots(places: number) {
  const clock = { now: 1_000_000 };
  return { clock, slots: createSlots({ places: () => places, now: () => clock.now }) };
}

test("as many as there are places, each given back once", () => {
  const { slots: own } = slots(2);
  const first = own.take("a");
  expect(own.free()).toBe(1);
  own.take("a");
  expect(own.free()).toBe(0);
  first();
  first();
  expect(own.free()).toBe(1);
});

test("one is there however little memory is free, and no second one", () => {
  const { slots: own } = slots(0);
  expect(own.free()).toBe(1);
  own.take("a");
  expect(own.free()).toBeLessThanOrEqual(0);
});

test("a tenant alone may have all; with others about, one that has a place does not get the last", () => {
  const { slots: own, clock } = slots(2);
  own.take("a");
  expect(own.barred()).toEqual([]);
  own.take("b")();
  expect(own.barred()).toEqual(["a"]);
  clock.now += ACTIVE_MS;
  own.take("a");
  clock.now += 1;
  expect(own.barred()).toEqual(["a"]); // the builder of "a" counts as slow from now on
});

test("others that have built nothing for long keep no place free", () => {
  const { slots: own, clock } = slots(2);
  own.take("b")();
  clock.now += ACTIVE_MS + 1;
  own.take("a");
  expect(own.barred()).toEqual([]);
});

test("a slow one frees its place for others, not for its tenant", () => {
  const { slots: own, clock } = slots(2);
  own.take("a");
  own.take("a");
  expect(own.free()).toBe(0);
  clock.now += SLOW_BUILD_MS - 1;
  expect(own.free()).toBe(0);
  clock.now += 1;
  expect(own.free()).toBe(2);
  expect(own.barred()).toEqual(["a"]);
});
