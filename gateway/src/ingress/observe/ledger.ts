// Every request is counted when it comes and when it ends, and written to the access log.
import type { Call, Ledger } from "../call/call.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { AccessLog } from "./access-log.ts";

interface Deps {
  metrics: Metrics;
  accessLog: AccessLog;
  warn: (message: string, facts: Record<string, unknown>) => void;
}

export function createLedger({ metrics, accessLog, warn }: Deps): Ledger {
  return {
    began() {
      metrics.requests += 1;
      metrics.inFlight += 1;
    },
    ended(call: Call) {
      metrics.inFlight -= 1;
      metrics.bytesIn += call.bytesIn;
      metrics.bytesOut += call.bytesOut;
      metrics.byClass[Math.min(5, Math.floor(call.status / 100))]! += 1; // a function may answer 999
      if (call.code !== "") metrics.countCode(call.code);
      metrics.latency.observe(call.durationMs);
      accessLog.record(call);
    },
    unexpected({ requestId }: Call, error: unknown) {
      warn("request failed", { requestId, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    },
  };
}
