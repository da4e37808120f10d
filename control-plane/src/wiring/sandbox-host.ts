// The interface to everything that differs between one machine and a cluster.
import type { LogReader } from "../logs/read/log-reader.ts";
import type { GatewayEnded } from "../contract/holder.ts";
import type { EgressSource } from "../contract/internal.ts";
import type { Condition } from "../contract/conditions.ts";
import type { LogAgents } from "../api/internal/listener.ts";
import type { CollectorClient } from "../logs/read/collector-client.ts";
import type { SandboxDriver } from "../sandbox/driver.ts";

export interface SandboxHost {
  driver: SandboxDriver;
  /** Sandboxes belong to a tenant from their start, so the pool holds some for each tenant that asked for one lately. */
  perTenant: boolean;
  /** Called before the start of a sandbox that may reach the network. */
  prepareEgress(instance: string): Promise<void>;
  /** Names the sandbox's tenant, once it has one, to the egress proxy. */
  labelEgress(instance: string, tenantId: string, label: string): Promise<void>;
  /** Resolves when the driver can load the layer. */
  ensureLayer(tenantId: string, digest: string): Promise<void>;
  collector: CollectorClient & LogReader;
  /** Answers log agents; absent on one machine. */
  agents?: LogAgents;
  conditions: { current(): Condition[]; check(): Promise<Condition[]> };
  /** Called once sandboxes that ran before have been adopted. `base`: a Node runtime's image. */
  begin(base: string, onGatewayEnded: (ended: GatewayEnded) => void): void;
  /** Called once this process answers requests, so that gateways find it from now on. */
  publish(): Promise<void>;
  close(): Promise<void>;
}

/** Limits of one build's network traffic. */
const BUILD_EGRESS = { maxBytes: 2 * 1024 ** 3, maxConnections: 64 };

export const buildSource = (tenantId: string | null, label: string, allow: EgressSource["allow"]): EgressSource => ({
  tenantId,
  label,
  allow,
  ...BUILD_EGRESS,
});
