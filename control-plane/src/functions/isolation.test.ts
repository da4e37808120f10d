import { expect, test } from "vitest";
import { refuseWeakerIsolation, requiredIsolation } from "./isolation.ts";

test.each([
  ["standard", undefined, "gvisor"],
  ["standard", "gvisor", "gvisor"],
  ["standard", "kata", "kata"],
  ["elevated", undefined, "kata"],
  ["elevated", "gvisor", "kata"], // the version was accepted before the tenant's risk was raised
  ["elevated", "kata", "kata"],
] as const)("a tenant of %s risk whose function asks for %s runs in %s", (risk, asked, isolation) => {
  expect(requiredIsolation(risk, asked)).toBe(isolation);
});

test("a new version may ask for more and not for less", () => {
  expect(() => refuseWeakerIsolation("elevated", "gvisor")).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
  for (const asked of [undefined, "kata"] as const) expect(() => refuseWeakerIsolation("elevated", asked)).not.toThrow();
  for (const asked of [undefined, "gvisor", "kata"] as const) expect(() => refuseWeakerIsolation("standard", asked)).not.toThrow();
});
