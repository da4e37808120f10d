// Reports of what functions moved: one that cannot be kept does not keep the others' from being told.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EGRESS_LIMITS } from "./limits.ts";
import { Meter } from "./meter.ts";
import { reportUsage } from "./usage-report.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([
  ["refused", new PlatformError("BAD_REQUEST", "No."), 1],
  ["not taken", new PlatformError("UNAVAILABLE", "Away."), 2],
])("what was %s is told again only where that may help", async (_what, error, times) => {
  const meter = new Meter();
  const send = vi.fn<() => Promise<unknown>>(async () => undefined).mockRejectedValueOnce(error);
  const report = reportUsage({ meter, proxy: "p", send, warn: () => undefined });
  meter.begin({ tenantId: "t", functionId: "f" } as EgressSource).add(1, "bytesUp");
  await vi.advanceTimersByTimeAsync(2 * EGRESS_LIMITS.usageMs + 1);
  expect(send).toHaveBeenCalledTimes(times);
  await report.stop();
});
