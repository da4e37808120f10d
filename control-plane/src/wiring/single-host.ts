// The host on one machine: the driver is a separate process, sandboxes reach the egress proxy by a socket each, layers lie unpacked on
// disk.
import { closingEgress } from "../egress/closing-egress.ts";
import { createEgressClient } from "../egress/egress-client.ts";
import { createCollectorClient } from "../logs/read/collector-client.ts";
import { createDriverClient } from "../sandbox/rpc.ts";
import type { ControlPlaneSettings } from "./settings.ts";
import type { Data } from "./data.ts";
import { buildSource, functionSource, IDLE_SOURCE, type SandboxHost } from "./sandbox-host.ts";

type Single = Extract<ControlPlaneSettings, { FNCTL_DRIVER: "runsc" }>;

export async function wireSingleHost(
  settings: Single,
  secret: string,
  data: Data,
  onError: (error: unknown) => void,
): Promise<SandboxHost> {
  const egress = createEgressClient(settings.FNCTL_EGRESS_CONTROL_SOCKET, secret);
  const allow = settings.FNCTL_BUILD_REGISTRIES.hosts;
  return {
    driver: closingEgress(await createDriverClient(settings.FNCTL_DRIVER_SOCKET), { close: egress.remove, list: egress.list, onError }),
    perTenant: false,
    prepareEgress: (id, kind) => egress.put(id, kind === "builder" ? buildSource(null, "builder, not yet given out", allow) : IDLE_SOURCE),
    async openEgress({ id }, info) {
      await egress.put(id, functionSource(info));
      return undefined; // each sandbox has a socket of its own, and needs no credential
    },
    labelEgress: (id, tenantId, label) => egress.put(id, buildSource(tenantId, label, allow)),
    ensureLayer: (tenantId, digest) => data.layers.ensure(tenantId, digest),
    collector: createCollectorClient(settings.FNCTL_LOG_SOCKET),
    conditions: { current: () => [], check: async () => [] },
    begin: () => undefined,
    publish: async () => undefined,
    close: async () => undefined,
  };
}
