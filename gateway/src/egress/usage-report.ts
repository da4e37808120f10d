// Tells the control plane what functions have moved: sums of their days, of which the newest counts, so that a report may come twice.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Meter } from "./meter.ts";

interface Deps {
  meter: Meter;
  /** One name for the life of this process. */
  proxy: string;
  send(path: string, body: object): Promise<unknown>;
  warn(message: string, facts: Record<string, unknown>): void;
}

/** `stop` tells what is not told yet, once. */
export function reportUsage({ meter, proxy, send, warn }: Deps): { stop(): Promise<void> } {
  let failed = false;
  async function tell(): Promise<void> {
    for (let uses = meter.untold(LIMITS.egressReport); uses.length > 0; uses = meter.untold(LIMITS.egressReport)) {
      await send(INTERNAL_PATHS.egressUsage, { proxy, uses }).catch(unlessRefused);
      meter.told(uses);
      if (uses.length < LIMITS.egressReport) return;
    }
  }
  /** What was refused would be refused again, and keep all that comes after it from being told. */
  function unlessRefused(error: unknown): void {
    if (!(error instanceof PlatformError) || error.fault !== "user") throw error;
    warn("what functions moved was refused", { error: error.message });
  }
  async function tryToTell(): Promise<void> {
    await tell().then(
      () => (failed = false),
      (error: unknown) => {
        if (!failed) warn("what functions moved was not told; it is told later", { error: String(error) });
        failed = true;
      },
    );
  }
  let telling = Promise.resolve();
  const timer = setInterval(() => void (telling = telling.then(tryToTell)), EGRESS_LIMITS.usageMs);
  return {
    async stop() {
      clearInterval(timer);
      await telling;
      await tryToTell();
    },
  };
}
