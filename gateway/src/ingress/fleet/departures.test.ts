import { expect, it } from "vitest";
import { GATEWAY_LIMITS } from "../limits.ts";
import { Departures } from "./departures.ts";

const { lateBytesMs, takenBack } = GATEWAY_LIMITS;

it("a request goes when it departed a moment ago, and is taken back when that is too long ago", () => {
  const departures = new Departures();
  expect(departures.mayGo(performance.now())).toBe(true);
  expect(departures.mayGo(performance.now() - lateBytesMs - 1)).toBe(false);
});

it("when many have been taken back, the next goes, and then one of so many", () => {
  const departures = new Departures();
  const long = (): boolean => departures.mayGo(performance.now() - lateBytesMs - 1);
  const first = Array.from({ length: takenBack.most }, long);
  expect(first).not.toContain(true);
  const later = Array.from({ length: 2_100 }, long).filter((may) => !may).length;
  expect(later).toBeGreaterThan(0.9 * 2_100 * takenBack.share);
  expect(later).toBeLessThanOrEqual(2_100 * takenBack.share);
});
