// Whose bytes are held, and whose go when there is no room.
import { expect, test } from "vitest";
import { HeldBytes, type BytesHolder } from "./held-bytes.ts";

const evicted: string[] = [];
const holder = (name: string, address: string | undefined = name): BytesHolder => ({ address, evicted: () => void evicted.push(name) });

test("an address holds up to its limit, and has room again for what is given back", () => {
  const held = new HeldBytes({ all: 100, perAddress: 60 });
  const [one, other] = [holder("a1", "a"), holder("a2", "a")];
  expect(held.hold(one, 40)).toBe(true);
  expect(held.hold(other, 20)).toBe(true);
  expect(held.hold(other, 21)).toBe(false);
  expect(held.bytes).toBe(60);
  expect(held.hold(one, 39)).toBe(true);
  expect(held.hold(other, 21)).toBe(true);
  for (const each of [one, other, one]) expect(held.hold(each, 0)).toBe(true);
  expect(held.bytes).toBe(0);
});

test("when there is no room for anybody, the oldest of whoever has most goes; whoever has most gets no more", () => {
  evicted.length = 0;
  const held = new HeldBytes({ all: 100, perAddress: 60 });
  const first = holder("a1", "a");
  held.hold(first, 30);
  held.hold(holder("a2", "a"), 30);
  held.hold(holder("b"), 40);
  expect(held.hold(holder("c"), 1)).toBe(true);
  expect([evicted, held.bytes]).toEqual([["a1"], 71]);
  expect(held.hold(holder("b", "b"), 30)).toBe(false); // it would be the largest itself
  expect(held.hold(first, 0)).toBe(true); // was given up already
  expect(held.bytes).toBe(71);
});

test("clients that nobody tells apart are one share without a limit of its own", () => {
  evicted.length = 0;
  const held = new HeldBytes({ all: 100, perAddress: 60 });
  const many = (name: string): BytesHolder => ({ address: undefined, evicted: () => void evicted.push(name) });
  expect(held.hold(many("m1"), 90)).toBe(true);
  expect(held.hold(many("m2"), 20)).toBe(false);
  expect(held.hold(holder("a"), 20)).toBe(true);
  expect(evicted).toEqual(["m1"]);
});
