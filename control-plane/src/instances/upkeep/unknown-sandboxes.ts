// Sandboxes that the driver has and nobody here knows: what a failed stop or a lost answer left. Pure but for what it remembers.
import { LIMITS } from "../../contract/limits.ts";
import type { Sandbox } from "../../sandbox/driver.ts";
import { INIT_TIMEOUT_MS } from "../../sandbox-client/instance-client.ts";

/** Starting, loading and init happen before an instance is in the table, and a builder never is: so long a sandbox may be unknown. */
export const UNKNOWN_MS = { function: INIT_TIMEOUT_MS * 3, builder: LIMITS.buildMs + INIT_TIMEOUT_MS * 3 } as const;

export function createUnknownSandboxes() {
  let since = new Map<string, number>();
  return {
    /** Those that were unknown, at every look, for as long as one of their kind may be. */
    due(instances: readonly Sandbox[], isKnown: (id: string) => boolean, now: number): string[] {
      const unknown = instances.filter(({ id }) => !isKnown(id));
      since = new Map(unknown.map(({ id }) => [id, since.get(id) ?? now]));
      return unknown.filter(({ id, kind }) => now - (since.get(id) ?? now) > UNKNOWN_MS[kind]).map(({ id }) => id);
    },
  };
}
