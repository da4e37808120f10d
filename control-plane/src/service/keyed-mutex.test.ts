import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createKeyedMutex } from "./keyed-mutex.ts";

test("work of one key goes one at a time and in order, a failure ends none of the others, and another key does not wait", async () => {
  const oneAtATime = createKeyedMutex();
  const seen: string[] = [];
  const work = (name: string, ms: number) => async () => {
    seen.push(`${name} begins`);
    await sleep(ms);
    seen.push(`${name} ends`);
    if (name === "b") throw new Error("b failed");
    return name;
  };
  const all = await Promise.allSettled([
    oneAtATime("x", work("a", 40)),
    oneAtATime("x", work("b", 20)),
    oneAtATime("x", work("c", 1)),
    oneAtATime("y", work("d", 1)),
  ]);
  expect(all.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  expect(seen.filter((text) => !text.startsWith("d"))).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  expect(seen.indexOf("d ends")).toBeLessThan(seen.indexOf("a ends"));
});
