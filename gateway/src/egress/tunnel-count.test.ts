import { expect, test } from "vitest";
import { EGRESS_LIMITS } from "./limits.ts";
import { TunnelCount } from "./tunnel-count.ts";

test("a tenant has so many tunnels, and one more when one of them has ended; another tenant has its own", () => {
  const count = new TunnelCount();
  for (let i = 0; i < EGRESS_LIMITS.tunnelsPerTenant; i += 1) count.begin("a");
  expect(() => count.begin("a")).toThrow(expect.objectContaining({ code: "RATE_LIMITED" }));
  count.begin("b");
  count.end("a");
  count.begin("a");
});

test("all tenants together have so many", () => {
  const count = new TunnelCount();
  for (let i = 0; i < EGRESS_LIMITS.tunnels; i += 1) count.begin(`tenant ${i}`);
  expect(() => count.begin("one more")).toThrow(expect.objectContaining({ code: "CAPACITY_UNAVAILABLE" }));
  count.end("tenant 0");
  count.begin("one more");
});
