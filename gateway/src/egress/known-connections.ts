// In a cluster: connections that have shown a good credential, whatever they ask for. A sandbox, and a tenant's sandboxes together, have a number of
// them, because all share the proxy's one port; on one machine each has a socket of its own, which has its number.
import type { Duplex } from "node:stream";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Source } from "./source.ts";

export class KnownConnections {
  /** Requests of one connection are one sandbox's: what it says on it after the first need not say who it is. */
  private readonly sources = new WeakMap<Duplex, Source>();
  private readonly counts = new Map<string, number>();

  of(client: Duplex): Source | undefined {
    return this.sources.get(client);
  }
  /** Throws RATE_LIMITED. */
  add(client: Duplex, source: Source): void {
    const { instance, settings } = source;
    const keys = [
      [`instance ${instance}`, settings.maxConnections + EGRESS_LIMITS.questionsAtOnce],
      [`tenant ${settings.tenantId ?? instance}`, EGRESS_LIMITS.connectionsPerTenant],
    ] as const;
    for (const [key, most] of keys)
      if ((this.counts.get(key) ?? 0) >= most)
        throw new PlatformError("RATE_LIMITED", `More than ${most} connections to the proxy at once.`);
    this.sources.set(client, source);
    for (const [key] of keys) this.count(key, 1);
    client.once("close", () => {
      for (const [key] of keys) this.count(key, -1);
    });
  }
  private count(key: string, by: 1 | -1): void {
    const count = (this.counts.get(key) ?? 0) + by;
    if (count === 0) this.counts.delete(key);
    else this.counts.set(key, count);
  }
}
