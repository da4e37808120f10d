import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createTurns } from "./turns.ts";

test("work of one key goes one at a time and in order, a failure ends none of the others, and another key does not wait", async () => {
  const inTurn = createTurns();
  const seen: string[] = [];
  const work = (name: string, ms: number) => async () => {
    seen.push(`${name} begins`);
    await sleep(ms);
    seen.push(`${name} ends`);
    if (name === "b") throw new Error("b failed");
    return name;
  };
  const all = await Promise.allSettled([
    inTurn("x", work("a", 40)),
    inTurn("x", work("b", 20)),
    inTurn("x", work("c", 1)),
    inTurn("y", work("d", 1)),
  ]);
  expect(all.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  expect(seen.filter((text) => !text.startsWith("d"))).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  expect(seen.indexOf("d ends")).toBeLessThan(seen.indexOf("a ends"));
});
