// What a tenant's namespace holds before its first pod: data in, data out, as on the wire. Applied in this order.
import { LIMITS } from "../../../contract/limits.ts";
import type { Isolation } from "../../../contract/names.ts";
import { LABELS, ownLabels, tenantNamespace, type Platform } from "../../../cluster/labels.ts";
import { networkPolicies } from "./network.ts";
import type { WireObject } from "../../../cluster/wire.ts";

export interface TenantInput {
  platform: Platform;
  tenantId: string;
  /** The least isolation that pods of this tenant may have; admission refuses less. */
  floor: Isolation;
  /** Kubernetes minor version whose Pod Security rules hold, `v1.34`: a new release must not change them unasked (SECURITY A1). */
  podSecurity: string;
  quota: TenantQuota;
  /** ServiceAccount of the control plane, in the platform's namespace. */
  controlPlaneAccount: string;
  /** ClusterRole that it is given in this namespace alone (SECURITY C3). */
  tenantRole: string;
}
/** A stop for mistakes; what a tenant may use is the control plane's business. */
export interface TenantQuota {
  pods: number;
  cpu: number;
  memoryMib: number;
  ephemeralMib: number;
}

/** ServiceAccount of all function and builder pods; it may do nothing and has no token. */
export const FUNCTION_ACCOUNT = "function";
const QUOTA = "fnctl-quota";
const LIMIT_RANGE = "fnctl-limits";
const BINDING = "fnctl-control-plane";
const PODS_PER_FUNCTION = 2;

/** Room for one function at its most and as many pods that are being replaced. */
export const DEFAULT_QUOTA: TenantQuota = {
  pods: LIMITS.maxInstances * PODS_PER_FUNCTION,
  cpu: 100,
  memoryMib: 128 * 1024,
  ephemeralMib: 16 * 1024,
};

export function namespace({ platform, tenantId, floor, podSecurity }: TenantInput): WireObject {
  const security = Object.fromEntries(
    ["enforce", "audit", "warn"].flatMap((mode) => [
      [`pod-security.kubernetes.io/${mode}`, "restricted"],
      [`pod-security.kubernetes.io/${mode}-version`, podSecurity],
    ]),
  );
  const labels = { ...ownLabels(platform, tenantId), [LABELS.floor]: floor, ...security };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name: tenantNamespace(platform, tenantId), labels } };
}

/** Everything in the namespace, in the order in which it is applied: first the right to apply the rest, then what shuts the network. */
export function tenantObjects(input: TenantInput): WireObject[] {
  const { platform, tenantId } = input;
  const metadata = (name: string) => ({
    name,
    namespace: tenantNamespace(platform, tenantId),
    labels: ownLabels(platform, tenantId),
  });
  return [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: metadata(BINDING),
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: input.tenantRole },
      subjects: [{ kind: "ServiceAccount", name: input.controlPlaneAccount, namespace: platform.namespace }],
    },
    ...networkPolicies(platform, metadata),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: metadata(FUNCTION_ACCOUNT), automountServiceAccountToken: false },
    { apiVersion: "v1", kind: "ResourceQuota", metadata: metadata(QUOTA), spec: { hard: quotaOf(input.quota) } },
    { apiVersion: "v1", kind: "LimitRange", metadata: metadata(LIMIT_RANGE), spec: { limits: [limits()] } },
  ];
}

/** SECURITY A8. No services, volumes claims or secrets at all: the platform needs none here, and the fewer kinds the better. */
function quotaOf({ pods, cpu, memoryMib, ephemeralMib }: TenantQuota): Record<string, string> {
  return {
    pods: String(pods),
    "limits.cpu": String(cpu),
    "requests.memory": `${memoryMib}Mi`,
    "limits.memory": `${memoryMib}Mi`,
    "requests.ephemeral-storage": `${ephemeralMib}Mi`,
    "limits.ephemeral-storage": `${ephemeralMib}Mi`,
    services: "0",
    "services.nodeports": "0",
    "services.loadbalancers": "0",
    persistentvolumeclaims: "0",
    secrets: "0",
  };
}

/** Defaults for a pod that says nothing: a stop for mistakes, because the platform's own pods say all of it. */
const limits = () => ({
  type: "Container",
  default: { cpu: "1", memory: "256Mi", "ephemeral-storage": "64Mi" },
  defaultRequest: { cpu: "50m", memory: "256Mi", "ephemeral-storage": "64Mi" },
  maxLimitRequestRatio: { memory: "1" },
});
