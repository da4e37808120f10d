// The interface to everything that differs between one machine and a cluster.
import type { FunctionClaims } from "../contract/egress-credential.ts";
import { PlatformError } from "../contract/errors.ts";
import type { EgressCredentials } from "../egress/egress-credentials.ts";
import type { LogReader } from "../logs/read/log-reader.ts";
import type { GatewayEnded } from "../contract/holder.ts";
import { FUNCTION_EGRESS, type EgressSource } from "../contract/internal.ts";
import type { InitRequest } from "../contract/runtime-protocol.ts";
import type { Condition } from "../contract/conditions.ts";
import type { LogAgents } from "../api/internal/listener.ts";
import type { CollectorClient } from "../logs/read/collector-client.ts";
import type { VersionInfo } from "../instances/start/version-info.ts";
import type { Sandbox, SandboxDriver, SandboxSpec } from "../sandbox/driver.ts";

export interface SandboxHost {
  driver: SandboxDriver;
  /** Sandboxes belong to a tenant from their start, so the pool holds some for each tenant that asked for one lately. */
  perTenant: boolean;
  /** Called before the start of a sandbox that may reach the network. */
  prepareEgress(instance: string, kind: SandboxSpec["kind"]): Promise<void>;
  /** Lets a function's sandbox reach what its version may; resolves with what `init` has to say of it. */
  openEgress(sandbox: Sandbox, info: VersionInfo): Promise<InitRequest["egress"]>;
  /** A new credential for a function's that still counts; absent where sandboxes have none. */
  renewEgress?: EgressCredentials["renew"];
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

const functionLabel = ({ init }: VersionInfo): string => `${init.function}:${init.version}`;
/** Throws SANDBOX_FAILED for a sandbox that has no address, from which alone its credential counts. */
export function functionClaims({ address }: Sandbox, info: VersionInfo): FunctionClaims {
  if (address?.kind !== "tls") throw new PlatformError("SANDBOX_FAILED", "The sandbox has no address.");
  const { tenantId, functionId, versionId, version } = info.init;
  return { tenantId, functionId, versionId, version, label: functionLabel(info), address: address.host, hasRules: info.egress.length > 0 };
}

export const functionSource = (info: VersionInfo): EgressSource => ({
  tenantId: info.init.tenantId,
  functionId: info.init.functionId,
  version: info.init.version,
  label: functionLabel(info),
  kind: "function",
  allow: info.egress,
  ...FUNCTION_EGRESS,
});
