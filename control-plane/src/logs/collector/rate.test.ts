import { expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { COLLECTOR } from "./limits.ts";
import { createRate } from "./rate.ts";

test("so many lines of a second are kept, the rest counted once, and the next second begins anew", () => {
  let now = 10_000;
  const rate = createRate(() => now);
  const admitted = () => Array.from({ length: LIMITS.logLinesPerSecond + 5 }, () => rate.admit(1)).filter(Boolean).length;
  expect(admitted()).toBe(LIMITS.logLinesPerSecond);
  expect(rate.takeDropped()).toBe(5);
  expect(rate.takeDropped()).toBe(0);
  now += 1_000;
  expect(admitted()).toBe(LIMITS.logLinesPerSecond);
});

test("few but long lines are bounded by their bytes", () => {
  const rate = createRate(() => 0);
  const size = LIMITS.logLineBytes;
  const admitted = Array.from({ length: 200 }, () => rate.admit(size)).filter(Boolean).length;
  expect(admitted).toBe(COLLECTOR.bytesPerSecond / size);
  expect(rate.takeDropped()).toBe(200 - admitted);
});
