// Finds sandboxes that the driver has and the control plane does not know, left by a failed stop or a lost answer. Its memory of earlier
// looks is its only state.
import { LIMITS } from "../../contract/limits.ts";
import type { Sandbox } from "../../sandbox/driver.ts";
import { INIT_TIMEOUT_MS } from "../../sandbox-client/instance-client.ts";

/** How long a sandbox may be unknown: start, load and init happen before an instance is in the table, and a builder is never in it. */
export const UNKNOWN_MS = { function: INIT_TIMEOUT_MS * 3, builder: LIMITS.buildMs + INIT_TIMEOUT_MS * 3 } as const;

export function createUnknownSandboxes() {
  let since = new Map<string, number>();
  return {
    /** Ids of sandboxes that were unknown at every look for longer than UNKNOWN_MS of their kind allows. */
    due(instances: readonly Sandbox[], isKnown: (id: string) => boolean, now: number): string[] {
      const unknown = instances.filter(({ id }) => !isKnown(id));
      since = new Map(unknown.map(({ id }) => [id, since.get(id) ?? now]));
      return unknown.filter(({ id, kind }) => now - (since.get(id) ?? now) > UNKNOWN_MS[kind]).map(({ id }) => id);
    },
  };
}
