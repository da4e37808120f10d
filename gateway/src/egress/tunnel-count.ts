// How many tunnels there are, of all sandboxes and of one tenant's: each is two sockets of a process that all tenants share.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { EGRESS_LIMITS } from "./limits.ts";

export class TunnelCount {
  private all = 0;
  private readonly byTenant = new Map<string, number>();

  /** Throws CAPACITY_UNAVAILABLE or RATE_LIMITED. */
  begin(tenant: string): void {
    const own = this.byTenant.get(tenant) ?? 0;
    if (this.all >= EGRESS_LIMITS.tunnels)
      throw new PlatformError("CAPACITY_UNAVAILABLE", "The egress proxy has as many connections as it takes.");
    if (tenant !== "" && own >= EGRESS_LIMITS.tunnelsPerTenant)
      throw new PlatformError("RATE_LIMITED", `More than ${EGRESS_LIMITS.tunnelsPerTenant} connections of one tenant at once.`);
    this.all += 1;
    this.byTenant.set(tenant, own + 1);
  }
  end(tenant: string): void {
    this.all -= 1;
    const left = (this.byTenant.get(tenant) ?? 1) - 1;
    if (left === 0) this.byTenant.delete(tenant);
    else this.byTenant.set(tenant, left);
  }
}
