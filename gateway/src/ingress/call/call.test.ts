// A call ends exactly once, whatever ends it, and its holder is told exactly once.
import { expect, it } from "vitest";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Call, type Phase } from "./call.ts";
import type { Caller } from "./caller.ts";

function made(phase: Phase) {
  const events: string[] = [];
  const caller = {
    refuse: (error: PlatformError) => events.push(`refuse ${error.code}: ${error.message}`),
    cut: () => events.push("cut"),
  } as unknown as Caller;
  const call = new Call("GET", "/", caller, {
    began: () => events.push("began"),
    ended: ({ code, status }) => events.push(`ended ${code} ${status}`),
    unexpected: (_call, error) => events.push(`unexpected ${String(error)}`),
  });
  call.holder = { letGo: (whole) => events.push(`let go ${whole}`), drained: () => undefined };
  call.phase = phase;
  return { call, events };
}
const ends: ((call: Call) => void)[] = [
  (call) => call.complete(),
  (call) => call.fail(new PlatformError("FUNCTION_TIMEOUT", "late")),
  (call) => call.callerGone(),
];

it("is over after its first end, and the others change nothing", () => {
  for (const phase of ["asked", "started", "answering"] as const)
    for (const first of ends) {
      const { call, events } = made(phase);
      first(call);
      const after = events.slice();
      expect(call.phase).toBe("over");
      for (const again of ends) again(call);
      expect(events).toEqual(after);
      expect(events.filter((event) => /^(let go|ended)/.test(event))).toHaveLength(2);
    }
});

it.each([
  ["asked", "refuse FUNCTION_TIMEOUT: late"],
  ["started", "refuse FUNCTION_TIMEOUT: late"],
  ["answering", "cut"],
] as const)("an error while %s: %s", (phase, told) => {
  const { call, events } = made(phase);
  call.fail(new PlatformError("FUNCTION_TIMEOUT", "late"));
  expect(events).toEqual(["began", told, "let go false", "ended FUNCTION_TIMEOUT 0"]);
});

it("a caller that goes is 499 unless the answer has begun; then its status stands", () => {
  for (const [phase, status] of [
    ["asked", 499],
    ["started", 499],
    ["answering", 200],
  ] as const) {
    const { call, events } = made(phase);
    if (phase === "answering") call.status = 200;
    call.callerGone();
    expect(events.at(-1)).toBe(`ended CLIENT_CLOSED ${status}`);
  }
});

it("an error that nobody foresaw is told to the operator, and nothing of it to the caller", () => {
  const { call, events } = made("asked");
  call.fail(new TypeError("secret inside"));
  expect(events).toContain("unexpected TypeError: secret inside");
  expect(events.join()).toContain("refuse INTERNAL: An unexpected error occurred.");
});
