// A first flight of many pieces costs a number of looks, and is seen whole.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FirstFlightPieces } from "./first-flight-pieces.ts";
import { EGRESS_LIMITS } from "./limits.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());
const { firstFlightLooks: most, firstFlightPauseMs: pause, firstFlightBytes } = EGRESS_LIMITS;

it("is looked at with each piece at first, and then once in a while", () => {
  const looks: number[] = [];
  const pieces = new FirstFlightPieces((bytes) => looks.push(bytes.length));
  for (let i = 0; i < most; i += 1) pieces.add(Buffer.of(i));
  expect(looks).toEqual(Array.from({ length: most }, (_, i) => i + 1));
  for (let i = 0; i < 1_000; i += 1) pieces.add(Buffer.of(1));
  expect(looks).toHaveLength(most);
  vi.advanceTimersByTime(pause);
  expect(looks.slice(most)).toEqual([most + 1_000]);
  pieces.add(Buffer.of(1));
  pieces.end();
  expect(looks.slice(most + 1)).toEqual([most + 1_001]);
  pieces.end();
  pieces.add(Buffer.of(1));
  pieces.stop();
  vi.advanceTimersByTime(10 * pause);
  expect(looks).toHaveLength(most + 2);
});
it("that is too long is looked at now, so that no more of it is kept", () => {
  const looks: number[] = [];
  const pieces = new FirstFlightPieces((bytes) => looks.push(bytes.length));
  for (let i = 0; i < most; i += 1) pieces.add(Buffer.of(i));
  pieces.add(Buffer.alloc(firstFlightBytes - most));
  expect(looks).toHaveLength(most);
  pieces.add(Buffer.of(1));
  expect(looks.slice(most)).toEqual([firstFlightBytes + 1]);
});
