// Labels and annotations by which the platform knows its own objects. They are set last and from the platform's own values: no value that a
// tenant supplied becomes a label (SECURITY A12, A13).

/** Which platform made an object, and for which tenant. Policies select by these, so a pod's labels never change after its creation. */
export const LABELS = {
  managedBy: "app.kubernetes.io/managed-by",
  /** UID of the platform's own namespace: two platforms in one cluster never touch each other's objects (SECURITY C5). */
  platform: "fnctl.dev/platform",
  tenant: "fnctl.dev/tenant",
  /** Set on a tenant's namespace: the weakest isolation that its pods may have. */
  floor: "fnctl.dev/isolation-floor",
  kind: "fnctl.dev/kind",
  instance: "fnctl.dev/instance",
  /** Fencing epoch of the control plane that created the pod (SECURITY fact 8). */
  epoch: "fnctl.dev/epoch",
  /** Set on pods that may connect to the egress proxy. */
  egress: "fnctl.dev/egress",
  /** Set on the platform's own pods; one of `ROLES`. */
  role: "fnctl.dev/role",
} as const;

export const ANNOTATIONS = {
  /** The SandboxSpec that the pod was made from, as JSON: a restarted control plane adopts the pod by it. */
  spec: "fnctl.dev/spec",
  /** The ImageRef that was loaded, as JSON. It is set once, when the code is sent, and is the only field of a pod that is ever changed. */
  image: "fnctl.dev/image",
} as const;

/** Roles of the platform's own pods, in LABELS.role. */
export const ROLES = { gateway: "gateway", controlPlane: "control-plane", egress: "egress" } as const;

const MANAGED_BY = "fnctl";
/** Field manager of server-side apply. */
export const FIELD_MANAGER = "fnctl-control-plane";

/** How the platform is identified in this cluster. */
export interface Platform {
  /** UID of `namespace`. */
  uid: string;
  /** Where the platform's own pods run. */
  namespace: string;
  /** First part of tenant namespaces' names, at most 20 characters. */
  prefix: string;
}

export const tenantNamespace = (platform: Platform, tenantId: string): string => `${platform.prefix}-${tenantId}`;
export const podName = (instance: string): string => `i-${instance}`;

export const ownLabels = (platform: Platform, tenantId: string): Record<string, string> => ({
  [LABELS.managedBy]: MANAGED_BY,
  [LABELS.platform]: platform.uid,
  [LABELS.tenant]: tenantId,
});
