// What differs between one machine and a cluster, as the rest of the wiring sees it.
import type { LogReader } from "../logs/read/log-reader.ts";
import type { EgressSource } from "../contract/internal.ts";
import type { Condition } from "../contract/conditions.ts";
import type { LogAgents } from "../api/internal/listener.ts";
import type { CollectorClient } from "../logs/read/collector-client.ts";
import type { SandboxDriver } from "../sandbox/driver.ts";

export interface SandboxHost {
  driver: SandboxDriver;
  /** Sandboxes belong to a tenant from their start, so pools hold some for each tenant that has asked lately. */
  perTenant: boolean;
  /** Called before a start of a sandbox that has a way out. */
  prepareEgress(instance: string): Promise<void>;
  /** Names whose sandbox it has become. */
  labelEgress(instance: string, tenantId: string, label: string): Promise<void>;
  /** Resolves when the driver can load the layer. */
  ensureLayer(tenantId: string, digest: string): Promise<void>;
  collector: CollectorClient & LogReader;
  /** Nodes' agents, where there are nodes. */
  agents?: LogAgents;
  conditions: { current(): Condition[]; check(): Promise<Condition[]> };
  /** Once what ran before has been adopted. `base`: a Node runtime's image. */
  begin(base: string): void;
  /** Once this process answers: from now on gateways come here. */
  publish(): Promise<void>;
  close(): Promise<void>;
}

/** What one build may move over the network. */
const BUILD_EGRESS = { maxBytes: 2 * 1024 ** 3, maxConnections: 64 };

export const buildSource = (tenantId: string | null, label: string, allow: EgressSource["allow"]): EgressSource => ({
  tenantId,
  label,
  allow,
  ...BUILD_EGRESS,
});
