import { expect, test } from "vitest";
import { EGRESS_LIMITS } from "./limits.ts";
import { TunnelCount } from "./tunnel-count.ts";

const A = "00000000-0000-7000-8000-00000000000a";
const B = "00000000-0000-7000-8000-00000000000b";
const fill = (count: TunnelCount, most: number, of: (i: number) => { tenant: string; function: string }) => {
  for (let i = 0; i < most; i++) count.begin(of(i));
};

test("one tenant has so many at a time, another its own", () => {
  const count = new TunnelCount();
  fill(count, EGRESS_LIMITS.tunnelsPerTenant, (i) => ({ tenant: A, function: `f${i % 9}` }));
  const more = { tenant: A, function: "f9" };
  expect(() => count.begin(more)).toThrow(/of one tenant at once/);
  count.begin({ tenant: B, function: "f" });
  count.end({ tenant: A, function: "f0" });
  count.begin(more);
});

test("one function has so many at a time, another of its tenant its own", () => {
  const count = new TunnelCount();
  const own = { tenant: A, function: "f" };
  fill(count, EGRESS_LIMITS.tunnelsPerFunction, () => own);
  expect(() => count.begin(own)).toThrow(/of one function at once/);
  count.begin({ tenant: A, function: "g" });
  count.end(own);
  count.begin(own);
  expect(() => count.begin(own)).toThrow(/of one function at once/);
});

test("all together have so many, and nobody's own are bounded by that alone", () => {
  const count = new TunnelCount();
  const nobody = { tenant: "", function: "" };
  fill(count, EGRESS_LIMITS.tunnels, () => nobody);
  expect(() => count.begin({ tenant: A, function: "f" })).toThrow(/as many connections as it takes/);
  count.end(nobody);
  count.begin({ tenant: A, function: "f" });
});
