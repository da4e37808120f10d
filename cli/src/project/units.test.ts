import { expect, test } from "vitest";
import { parseDuration, parseMemory } from "./units.ts";

test.each([
  ["500ms", 500],
  ["30s", 30_000],
  ["1.5s", 1500],
  ["5m", 300_000],
  ["1h", 3_600_000],
])("%s is %d ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});
test.each(["30", "s", "-5s", "5 minutes", "", "1e3s"])("%j is no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
test.each([
  ["256MB", 256],
  ["256", 256],
  [256, 256],
  ["1GB", 1024],
  ["2GiB", 2048],
  ["512 MiB", 512],
])("%s is %d MiB", (value, mib) => {
  expect(parseMemory(value)).toBe(mib);
});
test.each(["256KB", "MB", "-1MB", 1.5])("%j is no amount of memory", (value) => {
  expect(parseMemory(value)).toBeUndefined();
});
