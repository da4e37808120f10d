// How many tunnels there are, of all sandboxes, of one tenant's and of one function's: each is two sockets of a process that all tenants share.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { EGRESS_LIMITS } from "./limits.ts";

/** Whose it is; empty: nobody's in particular, such as a builder's. */
export interface Counted {
  tenant: string;
  function: string;
}

export class TunnelCount {
  private all = 0;
  private readonly byTenant = new Map<string, number>();
  private readonly byFunction = new Map<string, number>();

  /** Throws CAPACITY_UNAVAILABLE or RATE_LIMITED. */
  begin(counted: Counted): void {
    const { tunnels, tunnelsPerTenant, tunnelsPerFunction } = EGRESS_LIMITS;
    if (this.all >= tunnels) throw new PlatformError("CAPACITY_UNAVAILABLE", "The egress proxy has as many connections as it takes.");
    if (counted.tenant !== "" && (this.byTenant.get(counted.tenant) ?? 0) >= tunnelsPerTenant)
      throw new PlatformError("RATE_LIMITED", `More than ${tunnelsPerTenant} connections of one tenant at once.`);
    if (counted.function !== "" && (this.byFunction.get(counted.function) ?? 0) >= tunnelsPerFunction)
      throw new PlatformError("RATE_LIMITED", `More than ${tunnelsPerFunction} connections of one function at once.`);
    this.add(counted, 1);
  }
  end(counted: Counted): void {
    this.add(counted, -1);
  }
  private add(counted: Counted, by: 1 | -1): void {
    this.all += by;
    for (const [map, key] of [
      [this.byTenant, counted.tenant],
      [this.byFunction, counted.function],
    ] as const) {
      const count = (map.get(key) ?? 0) + by;
      if (count === 0) map.delete(key);
      else map.set(key, count);
    }
  }
}
