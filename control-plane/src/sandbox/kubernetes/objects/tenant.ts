// The objects that a tenant's namespace holds before its first pod, in the order in which they are applied. Pure.
import { LIMITS } from "../../../contract/limits.ts";
import type { Isolation } from "../../../contract/names.ts";
import { LABELS, ownLabels, tenantNamespace, type Platform } from "../../../cluster/labels.ts";
import { networkPolicies } from "./network.ts";
import type { WireObject } from "../../../cluster/wire.ts";

export interface TenantInput {
  platform: Platform;
  tenantId: string;
  /** The weakest isolation that pods of this tenant may have; admission refuses a weaker one. */
  floor: Isolation;
  /**
   * Kubernetes minor version whose Pod Security rules apply, `v1.34`: a new Kubernetes release must not change them by itself (SECURITY
   * A1).
   */
  podSecurity: string;
  quota: TenantQuota;
  /** ServiceAccount of the control plane, in the platform's namespace. */
  controlPlaneAccount: string;
  /** ClusterRole that this account gets in the tenant's namespace only (SECURITY C3). */
  tenantRole: string;
}
/** This quota only stops mistakes; the control plane itself limits what a tenant may use. */
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

/** Room for one function with the most instances, and for as many pods that are being replaced. */
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

/**
 * Everything in the namespace, in the order in which it is applied: first the right to apply the rest, then the policies that close the
 * network.
 */
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

/** SECURITY A8. No services, volume claims or secrets are allowed at all, because the platform needs none here. */
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

/** Defaults for a pod without limits. They only stop mistakes, because the platform's own pods set all limits. */
const limits = () => ({
  type: "Container",
  default: { cpu: "1", memory: "256Mi", "ephemeral-storage": "64Mi" },
  defaultRequest: { cpu: "50m", memory: "256Mi", "ephemeral-storage": "64Mi" },
  maxLimitRequestRatio: { memory: "1" },
});
