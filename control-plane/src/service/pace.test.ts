import { expect, it } from "vitest";
import { Pace } from "./pace.ts";

const limits = { perSecond: 100, burst: 5, waitMs: 1_000, owners: 3 };
const waits = (pace: Pace, count: number, owner: string, now: number): number[] =>
  Array.from({ length: count }, () => Math.round(pace.wait(owner, now)));

it("a burst is answered at once, and what is beyond it at the pace", () => {
  expect(waits(new Pace(limits), 8, "a", 50)).toEqual([0, 0, 0, 0, 0, 10, 20, 30]);
});

it("one owner does not slow another", () => {
  const pace = new Pace(limits);
  waits(pace, 50, "a", 0);
  expect(waits(pace, 5, "b", 0)).toEqual([0, 0, 0, 0, 0]);
});

it("whoever stays below the pace never waits, and whoever stops may have a burst again", () => {
  const pace = new Pace(limits);
  for (let now = 0; now < 1_000; now += 10) expect(pace.wait("a", now)).toBe(0);
  waits(pace, 30, "a", 1_000);
  expect(waits(pace, 6, "a", 2_000)).toEqual([0, 0, 0, 0, 0, 10]);
});

it("nobody waits longer than the most, and what is beyond it is not remembered", () => {
  const pace = new Pace(limits);
  expect(Math.max(...waits(pace, 1_000, "a", 0))).toBe(limits.waitMs);
  expect(waits(pace, 1, "a", limits.waitMs + 100)).toEqual([0]);
});

it("of too many owners the oldest is forgotten", () => {
  const pace = new Pace(limits);
  for (const owner of ["a", "b", "c"]) waits(pace, 10, owner, 0);
  expect(waits(pace, 1, "d", 0)).toEqual([0]);
  expect(waits(pace, 1, "b", 0)[0]).toBeGreaterThan(0);
  expect(waits(pace, 1, "a", 0)).toEqual([0]);
});
