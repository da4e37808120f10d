// Limits the log reads of one tenant and of all tenants at a time: each holds a connection, and a merged one up to 16 MiB, for as long as
// its client likes.
import type { Readable } from "node:stream";
import type { LogReader } from "./log-reader.ts";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";

const MOST = { tenant: LIMITS.logReadsPerTenant, all: LIMITS.logReads };

/** Throws RATE_LIMITED beyond the tenant's own number, CAPACITY_UNAVAILABLE beyond the number for the whole process. */
export function limitReads(reader: LogReader, most: { tenant: number; all: number } = MOST): LogReader {
  const ofTenant = new Map<string, number>();
  let all = 0;

  function take(tenantId: string): () => void {
    const before = ofTenant.get(tenantId) ?? 0;
    if (before >= most.tenant)
      throw new PlatformError("RATE_LIMITED", `${most.tenant} reads of this tenant's logs run already.`, {
        hint: "End one of them: each `fnctl logs -f` is one.",
      });
    if (all >= most.all)
      throw new PlatformError("CAPACITY_UNAVAILABLE", "The platform serves as many reads of logs as it may.", { hint: "Try again later." });
    ofTenant.set(tenantId, before + 1);
    all++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      all--;
      const left = (ofTenant.get(tenantId) ?? 1) - 1;
      if (left === 0) ofTenant.delete(tenantId);
      else ofTenant.set(tenantId, left);
    };
  }

  return {
    async read(tenantId, functionId, query, signal): Promise<Readable> {
      const giveBack = take(tenantId);
      try {
        const body = await reader.read(tenantId, functionId, query, signal);
        // Not every body ends by itself when the signal fires, and nothing else would end a body whose client left before it arrived.
        const end = () => void body.destroy();
        body.once("close", () => {
          signal.removeEventListener("abort", end);
          giveBack();
        });
        signal.addEventListener("abort", end, { once: true });
        if (signal.aborted) end();
        if (body.closed) giveBack();
        return body;
      } catch (error) {
        giveBack();
        throw error;
      }
    },
  };
}
