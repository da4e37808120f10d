// A driver that starts tenants' sandboxes only while it is verified that the network keeps them in.
import type { SandboxDriver } from "../../driver.ts";
import { isProbeTenant } from "./check.ts";

export const gated = (driver: SandboxDriver, allowed: () => Promise<void>): SandboxDriver => ({
  ...driver,
  get isolations() {
    return driver.isolations;
  },
  async start(spec) {
    if (!isProbeTenant(spec.tenantId)) await allowed();
    return driver.start(spec);
  },
});
