import { expect, test } from "vitest";
import { createRing } from "./ring.ts";

test("keeps as many as it may, and says how far back it reaches", () => {
  const ring = createRing<number>(3);
  expect([ring.last(), ring.reaches(0), ring.reaches(1)]).toEqual([0, true, false]);
  for (let i = 0; i < 3; i++) ring.push((number) => number);
  expect([ring.last(), ring.reaches(0), ring.after(0)]).toEqual([3, true, [1, 2, 3]]);
  ring.push((number) => number);
  expect([ring.reaches(0), ring.reaches(1), ring.reaches(4), ring.reaches(5)]).toEqual([false, true, true, false]);
  expect([ring.after(1), ring.after(4)]).toEqual([[2, 3, 4], []]);
});
