import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LOOK_MS, createBuildPump } from "./pump.ts";
import { createSlots } from "./slots.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what was lost is put back between two takes: one whose answer is on its way is not lost", async () => {
  let answer: (job: { tenantId: string; buildId: string }) => void = () => undefined;
  const requeued: string[][] = [];
  const pump = createBuildPump({
    slots: createSlots({ places: () => 2 }),
    mayBegin: async () => true,
    take: () => new Promise((resolve) => (answer = resolve)),
    requeue: async (inHand) => void requeued.push(inHand),
    work: () => new Promise(() => undefined),
    onError: (error) => expect.unreachable(String(error)),
  });
  pump.run();
  await vi.advanceTimersByTimeAsync(0);
  expect(requeued).toEqual([[]]); // puts back the builds that an earlier worker held
  pump.wake();
  await vi.advanceTimersByTimeAsync(2 * LOOK_MS); // the first take is committed, and its answer has not come
  expect(requeued).toEqual([[]]);
  answer({ tenantId: "t", buildId: "b" });
  await vi.advanceTimersByTimeAsync(0);
  answer({ tenantId: "t", buildId: "c" });
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  expect(requeued.at(-1)).toEqual(["b", "c"]);
});
