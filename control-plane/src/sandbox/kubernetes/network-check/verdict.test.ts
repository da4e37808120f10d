// When tenants' pods may be started, by what looks at the network have shown.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Condition } from "../../../contract/conditions.ts";
import { AGAIN_MS, HOLDS_MS, TRIES, createVerdict } from "./verdict.ts";

type Seen = Condition["status"] | Error;
let answers: Seen[];
let looks: number;
beforeEach(() => {
  vi.useFakeTimers();
  looks = 0;
});
afterEach(() => void vi.useRealTimers());

/** Looks see these, one after the other, then the last again and again. */
function verdict(...seen: Seen[]) {
  answers = seen;
  const look = async (): Promise<Condition> => {
    const next = answers.length > 1 ? answers.shift()! : answers[0]!;
    looks++;
    if (next instanceof Error) throw next;
    return { type: "NetworkIsolationVerified", status: next, at: new Date().toISOString(), message: next, probes: [] };
  };
  return createVerdict(look, () => undefined);
}
/** Everything that happens within so long. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const allowed = async (one: ReturnType<typeof verdict>) => {
  const asked = one.require().then(
    () => true,
    () => false,
  );
  await pass(TRIES.count * TRIES.pauseMs);
  return asked;
};
const refused = new Error("no pod for the probes");

test("nothing may start before a proof; who asks waits for the check", async () => {
  const one = verdict("True");
  expect(one.current().status).toBe("Unknown");
  expect(await allowed(one)).toBe(true);
  expect(looks).toBe(1);
});

test("a look that proves nothing is taken again, at most so often", async () => {
  expect(await allowed(verdict("Unknown", refused, "True"))).toBe(true);
  expect(looks).toBe(TRIES.count);
  looks = 0;
  expect(await allowed(verdict("Unknown"))).toBe(false);
  expect(looks).toBe(TRIES.count);
});

test("a hole is believed at once", async () => {
  expect(await allowed(verdict("False", "True"))).toBe(false);
  expect(looks).toBe(1);
});

test("a proof holds while later looks prove nothing, but not for ever", async () => {
  const one = verdict("True", "Unknown");
  expect(await allowed(one)).toBe(true);
  const told = one.run();
  await pass(TRIES.count * TRIES.pauseMs);
  expect((await told).status).toBe("Unknown"); // who asks for a check is told what it saw
  expect(await allowed(one)).toBe(true);
  await pass(HOLDS_MS + 2 * (AGAIN_MS.Unknown + TRIES.count * TRIES.pauseMs));
  expect(one.current().status).toBe("Unknown");
  expect(await allowed(one)).toBe(false);
  one.close();
});

test("a hole ends a proof at the next look, and mending it is found out by itself", async () => {
  const one = verdict("True", "False", "True");
  expect(await allowed(one)).toBe(true);
  await pass(AGAIN_MS.True);
  expect(await allowed(one)).toBe(false);
  await pass(AGAIN_MS.False);
  expect(await allowed(one)).toBe(true);
  one.close();
});
