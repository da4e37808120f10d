// After repeated deaths of a version's instances the pause before the next start grows; a single death, or several at the same moment,
// cause no pause.
import { expect, test } from "vitest";
import { DEATHS, createDeaths } from "./deaths.ts";

function deaths() {
  const clock = { now: 1_000_000 };
  const own = createDeaths(() => clock.now);
  const pause = (): number => {
    const begun = clock.now;
    for (; ; clock.now += 500) {
      try {
        own.require("v");
        return clock.now - begun;
      } catch (error) {
        expect(error).toMatchObject({ code: "FUNCTION_CRASHED", facts: { retryAfterSeconds: expect.any(Number) } });
      }
    }
  };
  const die = (livedMs = 100): number => {
    clock.now += DEATHS.firstMs;
    own.ended("v", livedMs);
    return pause();
  };
  return { clock, own, die, pause };
}

test("the first ones pause nothing, later ones twice as long from time to time, up to the most", () => {
  const { die } = deaths();
  expect(Array.from({ length: DEATHS.free }, () => die())).toEqual([0, 0, 0]);
  expect(Array.from({ length: 9 }, () => die() / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test("many at the same moment are one", () => {
  const { own, clock, pause } = deaths();
  for (let count = 0; count < 50; count++) own.ended("v", 100);
  expect(pause()).toBe(0);
  clock.now += DEATHS.firstMs;
});

test("an instance that lived proves that the version can, and what is long ago is forgiven", () => {
  const { die, clock } = deaths();
  for (let count = 0; count < 6; count++) die();
  expect(die(DEATHS.healthyMs)).toBe(0);
  expect(die()).toBe(0);
  for (let count = 0; count < 6; count++) die();
  clock.now += 2 * DEATHS.mostMs + 1;
  expect(die()).toBe(0);
});

test("a load that failed gives its own answer, and longer from time to time", () => {
  const { own, clock } = deaths();
  const error = new Error("no such module");
  own.failed("v", error);
  clock.now += DEATHS.failedInitMs - 1;
  expect(() => own.require("v")).toThrow(error);
  clock.now += 1;
  expect(() => own.require("v")).not.toThrow();
  own.failed("v", error);
  clock.now += DEATHS.failedInitMs;
  expect(() => own.require("v")).toThrow(error);
  expect(() => own.require("another")).not.toThrow();
});
