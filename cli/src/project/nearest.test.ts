import { expect, test } from "vitest";
import { nearest } from "./nearest.ts";

test.each([
  ["deploi", "deploy"],
  ["lgos", "logs"],
  ["LS", "ls"],
  ["rollbck", "rollback"],
  ["frobnicate", undefined],
])("%s: %s", (word, expected) => {
  expect(nearest(word, ["deploy", "logs", "ls", "rollback", "rm"])).toBe(expected);
});
