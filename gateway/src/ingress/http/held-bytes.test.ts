import { expect, test } from "vitest";
import { HeldBytes } from "./held-bytes.ts";

test("is full at its limits, for an address and in all, and has room again for what is given back", () => {
  const held = new HeldBytes({ all: 100, perAddress: 60 });
  expect(held.take("a", 60)).toBe(true);
  expect(held.take("a", 1)).toBe(false);
  expect(held.take("b", 40)).toBe(true);
  expect(held.take("c", 1)).toBe(false);
  held.giveBack("a", 60);
  expect(held.bytes).toBe(40);
  expect(held.take(undefined, 60)).toBe(true); // through a trusted proxy: counted in all only
  expect(held.take(undefined, 1)).toBe(false);
});
