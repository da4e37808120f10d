import { expect, test } from "vitest";
import { holderName, readHolder } from "./holder.ts";

test("a holder's name says which gateway it is of, and since when", () => {
  const name = holderName("6d6b1c5e-0000-4000-8000-000000000000", 1_795_000_000_000);
  expect(name.length).toBeLessThanOrEqual(64);
  expect(readHolder(name)).toEqual({ gateway: "6d6b1c5e-0000-4000-8000-000000000000", startedAt: 1_795_000_000_000 });
  expect(holderName("a")).not.toBe(holderName("a"));
});

test.each(["", "ingress", "ingress.1", "ingress.x.00000000", "a.b.1.00000000", "ingress.1.00000000x"])("%j is no such name", (name) => {
  expect(readHolder(name)).toBeUndefined();
});
