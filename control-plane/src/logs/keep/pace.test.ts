// A writer is read no faster than its limits of lines and bytes allow.
import { expect, test } from "vitest";
import { createReadThrottle } from "./pace.ts";

const LIMITS = { lines: 1_000, bytes: 100_000 };

test("what is below the limits rests never, what is above as long as it takes to be on the limit again", () => {
  let now = 1_000_000;
  const pace = createReadThrottle(LIMITS, () => now);
  for (let tenth = 0; tenth < 50; tenth++, now += 100) expect(pace.spend(89, 9_000)).toBe(0);
  now += 60_000;
  expect(pace.spend(90, 10)).toBe(0); // after a rest, a tenth of a second's worth may be read at once
  expect(pace.spend(990, 10)).toBe(1_000);
  now += 1_000;
  expect(pace.spend(1, 50_000)).toBe(500); // here the byte limit decides
});

test.each([
  ["line ends", 65_536, 65_536],
  ["bytes", 1, 65_536],
])("a flood of %s is read at the limit, whatever comes at once", (_what, lines, bytes) => {
  let now = 0;
  let read = { lines: 0, bytes: 0 };
  const pace = createReadThrottle(LIMITS, () => now);
  while (now < 100_000) {
    const rest = pace.spend(lines, bytes);
    read = { lines: read.lines + lines, bytes: read.bytes + bytes };
    now += rest;
  }
  const share = Math.max(read.lines / LIMITS.lines, read.bytes / LIMITS.bytes) / (now / 1000);
  expect(share).toBeLessThan(1.01);
});

test("a flood of single bytes costs as many reads as may be, and no more", () => {
  let now = 0;
  let reads = 0;
  const pace = createReadThrottle(LIMITS, () => now);
  for (; now < 10_000; reads++) now += pace.spend(0, 1);
  expect(reads / (now / 1000)).toBeLessThanOrEqual(LIMITS.lines / 10 + 1);
});
