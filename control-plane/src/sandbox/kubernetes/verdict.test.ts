// When tenants' pods may be started, depending on the results of earlier looks at the network.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Condition } from "../../contract/conditions.ts";
import { AGAIN_MS, HOLDS_MS, LOOK_MS, TRIES, createVerdict } from "./verdict.ts";

const ABOUT = { type: "NetworkIsolationVerified", isolation: "gvisor", claim: "all is well" } as const;
type Seen = Condition["status"] | Error;
let answers: Seen[];
let looks: number;
let kept: Condition[];
let before: Condition | undefined;
beforeEach(() => {
  vi.useFakeTimers();
  kept = [];
  before = undefined;
  looks = 0;
});
afterEach(() => void vi.useRealTimers());

/** A verdict whose looks see `seen` one after the other, and then always the last. */
function verdict(...seen: Seen[]) {
  answers = seen;
  const look = async (): Promise<Condition> => {
    const next = answers.length > 1 ? answers.shift()! : answers[0]!;
    looks++;
    if (next instanceof Error) throw next;
    return { type: "NetworkIsolationVerified", status: next, at: new Date().toISOString(), message: next, probes: [] };
  };
  return createVerdict({ ...ABOUT, look, before, keep: (condition) => void kept.push(condition), onError: () => undefined });
}
/** Runs all timers of the next `ms` milliseconds. */
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
  expect((await told).status).toBe("Unknown"); // the caller of `run` gets the new result, even though the old proof holds
  expect(await allowed(one)).toBe(true);
  await pass(HOLDS_MS + 2 * (AGAIN_MS.UnknownMost + TRIES.count * TRIES.pauseMs));
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

/** How long a look that proves nothing takes, with its retries. */
const PROVING_MS = (TRIES.count - 1) * TRIES.pauseMs;

test("looks that prove nothing come less and less often, up to a most, until one proves something", async () => {
  const one = verdict("Unknown");
  void one.run();
  await pass(PROVING_MS);
  for (const pauseMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
    looks = 0;
    await pass(pauseMs - 1);
    expect(looks).toBe(0);
    await pass(1 + PROVING_MS);
    expect(looks).toBe(TRIES.count);
  }
  answers = ["False", "Unknown"];
  await pass(AGAIN_MS.UnknownMost);
  expect(one.current().status).toBe("False");
  await pass(AGAIN_MS.False + PROVING_MS);
  expect(one.current().status).toBe("Unknown");
  looks = 0;
  await pass(AGAIN_MS.Unknown);
  expect(looks).toBe(1); // the pause starts again from its shortest
  one.close();
});

test("who asks does not wait for the next repeat, but the last look must be over for a while", async () => {
  const one = verdict("Unknown");
  void one.run();
  await pass(PROVING_MS + AGAIN_MS.Unknown + PROVING_MS); // the next repeat is 10 s off
  looks = 0;
  answers = ["True"];
  await pass(AGAIN_MS.Unknown - 1);
  await expect(one.require()).rejects.toMatchObject({ code: "ISOLATION_UNAVAILABLE" });
  expect(looks).toBe(0);
  await pass(1);
  await one.require();
  expect(looks).toBe(1);
  one.close();
});

test("who comes while a look runs is refused only after one more, however many come", async () => {
  const one = verdict("Unknown");
  void one.run();
  await pass(1);
  const asked = Array.from({ length: 10 }, () => one.require().catch((error: unknown) => error));
  await pass(PROVING_MS);
  expect(looks).toBe(TRIES.count);
  answers = ["True"];
  await pass(AGAIN_MS.Unknown);
  expect(await Promise.all(asked)).toEqual(Array.from({ length: 10 }, () => undefined));
  expect(looks).toBe(TRIES.count + 1);
  one.close();
});

test("who comes while a look runs is refused when one more proves nothing either", async () => {
  const one = verdict("Unknown");
  void one.run();
  await pass(1);
  const asked = one.require().catch((error: unknown) => error);
  await pass(PROVING_MS + AGAIN_MS.Unknown + PROVING_MS);
  expect(await asked).toMatchObject({ code: "ISOLATION_UNAVAILABLE" });
  expect(looks).toBe(2 * TRIES.count);
  one.close();
});

const found = (status: Condition["status"], ageMs: number): Condition => ({
  type: "NetworkIsolationVerified",
  status,
  at: new Date(Date.now() - ageMs).toISOString(),
  message: "by the owner before",
  probes: [],
});

test("what the owner before proved holds for the next one while it looks, for as long as it would have held for the other", async () => {
  for (const [status, ageMs, holds] of [
    ["True", HOLDS_MS - 1, true],
    ["True", HOLDS_MS, false],
    ["True", -59_000, true],
    ["True", -60_000, false],
    ["False", 0, false],
  ] as const) {
    before = found(status, ageMs);
    expect(await allowed(verdict("Unknown"))).toBe(holds);
  }
});

test("a hole that is seen after a takeover ends what the owner before proved", async () => {
  before = found("True", 0);
  const one = verdict("False");
  await one.run();
  expect(await allowed(one)).toBe(false);
});

test("a proof that nobody has renewed for too long is none: who asks waits for a look", async () => {
  const one = verdict("True");
  expect(await allowed(one)).toBe(true);
  one.close(); // from now on it never looks by itself
  await pass(HOLDS_MS);
  answers = ["Unknown"];
  expect(await allowed(one)).toBe(false);
});

test("a look that hangs proves nothing, and does not keep who asks for ever", async () => {
  const hanging = createVerdict({
    ...ABOUT,
    look: () => new Promise(() => undefined),
    keep: () => undefined,
    onError: () => undefined,
  });
  let answer = "";
  hanging.require().then(
    () => (answer = "allowed"),
    () => (answer = "refused"),
  );
  await pass(TRIES.count * (LOOK_MS + TRIES.pauseMs) - TRIES.pauseMs - 1);
  expect(answer).toBe("");
  await pass(1);
  expect(answer).toBe("refused");
});

test("proofs and holes are kept for the next owner, doubts are not", async () => {
  for (const status of ["True", "Unknown", "False"] as const) {
    const run = verdict(status).run();
    await pass(TRIES.count * TRIES.pauseMs);
    await run;
  }
  expect(kept.map(({ status }) => status)).toEqual(["True", "False"]);
});
