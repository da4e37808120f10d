import { expect, test } from "vitest";
import { REMEMBERED_ENDS, createRecentEnds } from "./recent-ends.ts";

test("so many ends are remembered, and then the oldest is not", () => {
  const ends = createRecentEnds();
  const why = { reason: "oom", detail: "" };
  for (let n = 0; n < REMEMBERED_ENDS; n++) ends.note({ leaseId: `lease-${n}`, holder: "gw" }, why);
  expect(ends.of("lease-0", "gw")).toEqual(why);
  ends.note({ leaseId: "one more", holder: "gw" }, why);
  expect(ends.of("lease-0", "gw")).toBeUndefined();
  expect(ends.of("lease-1", "gw")).toEqual(why);
  expect(ends.of("one more", "gw")).toEqual(why);
});
