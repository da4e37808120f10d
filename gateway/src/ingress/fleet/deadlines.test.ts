import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Deadlines } from "./deadlines.ts";

const reaches = (reached: string[], name: string) => ({ deadlineReached: () => void reached.push(name) });

it("are reached in their order and not before, and not when they were cleared", async () => {
  const deadlines = new Deadlines();
  const reached: string[] = [];
  const cleared = ["a", "b", "c"].map((name) => deadlines.set(reaches(reached, name), 40));
  deadlines.set(reaches(reached, "late"), 120);
  await sleep(20);
  deadlines.set(reaches(reached, "d"), 40);
  deadlines.clear(cleared[1]!);
  deadlines.clear(cleared[1]!);
  expect(reached).toEqual([]);
  await expect.poll(() => reached, { timeout: 5_000 }).toEqual(["a", "c", "d", "late"]);
});

it("of one length have one timer, which is gone when none is left", async () => {
  const deadlines = new Deadlines();
  const set = Array.from({ length: 1_000 }, (_, i) => deadlines.set(reaches([], ""), 30 + (i % 4)));
  expect(deadlines.lengths).toBe(4);
  for (const one of set.toReversed()) deadlines.clear(one);
  await expect.poll(() => deadlines.lengths, { timeout: 5_000 }).toBe(0);
});

it("may be set and cleared by what one of them calls", async () => {
  const deadlines = new Deadlines();
  const reached: string[] = [];
  const second = { deadline: undefined as ReturnType<Deadlines["set"]> | undefined };
  deadlines.set({ deadlineReached: () => deadlines.clear(second.deadline!) }, 20);
  second.deadline = deadlines.set(reaches(reached, "cleared"), 20);
  deadlines.set({ deadlineReached: () => void deadlines.set(reaches(reached, "again"), 20) }, 20);
  await expect.poll(() => reached, { timeout: 5_000 }).toEqual(["again"]);
  await sleep(30);
  expect(reached).toEqual(["again"]);
});

it("are reached by the others when one of them throws", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  const deadlines = new Deadlines();
  const reached: string[] = [];
  const fault = {
    deadlineReached() {
      throw new Error("of one request");
    },
  };
  for (const timed of [reaches(reached, "first"), fault, reaches(reached, "next")]) deadlines.set(timed, 20);
  expect(() => vi.advanceTimersByTime(20)).toThrow("of one request");
  expect(reached).toEqual(["first"]);
  vi.advanceTimersByTime(1);
  expect(reached).toEqual(["first", "next"]);
  vi.useRealTimers();
});
