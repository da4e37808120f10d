// The interface to everything that differs between one machine and a cluster.
import type { LogReader } from "../logs/read/log-reader.ts";
import type { GatewayEnded } from "../contract/holder.ts";
import type { EgressSource } from "../contract/internal.ts";
import type { Condition } from "../contract/conditions.ts";
import type { LogAgents } from "../api/internal/listener.ts";
import type { CollectorClient } from "../logs/read/collector-client.ts";
import type { VersionInfo } from "../instances/start/version-info.ts";
import type { SandboxDriver, SandboxSpec } from "../sandbox/driver.ts";

export interface SandboxHost {
  driver: SandboxDriver;
  /** Sandboxes belong to a tenant from their start, so the pool holds some for each tenant that asked for one lately. */
  perTenant: boolean;
  /** Called before the start of a sandbox that may reach the network. */
  prepareEgress(instance: string, kind: SandboxSpec["kind"]): Promise<void>;
  /** Lets a function's sandbox reach what its version may; absent where none has a way out. */
  openEgress?(instance: string, info: VersionInfo): Promise<void>;
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
  functionId: null,
  version: 0,
  label,
  kind: "build",
  allow,
  ...BUILD_EGRESS,
});

/** Limits of one function's instance, for its whole life. */
const FUNCTION_EGRESS = { maxBytes: 1024 ** 4, maxConnections: 256 };
/** A function's sandbox that was not given out yet reaches nothing. */
export const IDLE_SOURCE: EgressSource = {
  tenantId: null,
  functionId: null,
  version: 0,
  label: "function, not yet given out",
  kind: "function",
  allow: [],
  ...FUNCTION_EGRESS,
};

export const functionSource = ({ init, egress }: VersionInfo): EgressSource => ({
  tenantId: init.tenantId,
  functionId: init.functionId,
  version: init.version,
  label: `${init.function}:${init.version}`,
  kind: "function",
  allow: egress,
  ...FUNCTION_EGRESS,
});
