import { describe, expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { RECORD_MARK } from "../../contract/logs.ts";
import { COLLECTOR } from "./limits.ts";
import { createKeepLimit } from "./rate.ts";

test("so many lines of a second are kept, the rest counted once, and the next second begins anew", () => {
  let now = 10_000;
  const rate = createKeepLimit(() => now);
  const admitted = () => Array.from({ length: LIMITS.logLinesPerSecond + 5 }, () => rate.admit(1)).filter(Boolean).length;
  expect(admitted()).toBe(LIMITS.logLinesPerSecond);
  expect(rate.takeDropped()).toBe(5);
  expect(rate.takeDropped()).toBe(0);
  now += 1_000;
  expect(admitted()).toBe(LIMITS.logLinesPerSecond);
});

test("few but long lines are bounded by their bytes", () => {
  const rate = createKeepLimit(() => 0);
  const size = LIMITS.logLineBytes;
  const admitted = Array.from({ length: 200 }, () => rate.admit(size)).filter(Boolean).length;
  expect(admitted).toBe(COLLECTOR.bytesPerSecond / size);
  expect(rate.takeDropped()).toBe(200 - admitted);
});

describe("a request that writes without end", () => {
  const line = (request: string) => Buffer.from(`${RECORD_MARK}${JSON.stringify({ l: "info", r: request, m: "x" })}`);
  const send = (rate: ReturnType<typeof createKeepLimit>, request: string, count: number) =>
    Array.from({ length: count }, () => rate.admit(100, line(request))).filter(Boolean).length;

  test("does not cost others their first lines of the second, and they no more than a reserve", () => {
    const rate = createKeepLimit(() => 0);
    expect(send(rate, "flooding-1", 5_000)).toBe(LIMITS.logLinesPerSecond);
    expect(send(rate, "request-01", 60)).toBe(COLLECTOR.reserve.ownLines);
    for (let other = 0; other < 40; other++) send(rate, `request-1${other}`, 50);
    expect(send(rate, "request-99", 1)).toBe(0);
    expect(send(rate, "flooding-1", 10)).toBe(0);
  });

  test("lines of no request, and those that only look like records, have no reserve", () => {
    const rate = createKeepLimit(() => 0);
    send(rate, "flooding-1", 5_000);
    for (const text of [
      "plain",
      '{"l":"info","r":"request-01","m":"x"}',
      `${RECORD_MARK}{"m":"x"}`,
      `${RECORD_MARK}{"l":"info","r":"short","m":"x"}`,
    ])
      expect(rate.admit(100, Buffer.from(text))).toBe(false);
  });

  test("as many different requests as anybody names are not remembered without end", () => {
    const rate = createKeepLimit(() => 0);
    for (let index = 0; index < 20_000; index++) rate.admit(1, line(`request-${index}`));
    expect(send(rate, "request-new", 1)).toBe(0);
  });
});
