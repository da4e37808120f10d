import fc from "fast-check";
import { expect, it } from "vitest";
import { formatMs } from "./milliseconds.ts";

it.each([
  [0, "0.00"],
  [0.004, "0.00"],
  [0.01, "0.01"],
  [0.1, "0.10"],
  [1, "1.00"],
  [9.999, "10.00"],
  [123.456, "123.46"],
  [900_000, "900000.00"],
])("%f", (ms, text) => expect(formatMs(ms)).toBe(text));
it("reads back as what it was, to the hundredth", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e7, noNaN: true }),
      (ms) => /^\d+\.\d\d$/.test(formatMs(ms)) && Math.abs(Number(formatMs(ms)) - ms) < 0.0051,
    ),
  );
});
