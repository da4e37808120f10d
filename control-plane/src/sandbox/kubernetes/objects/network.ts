// NetworkPolicies of a tenant's namespace: nothing in, nothing out, but what is named here (SECURITY B1-B3).
import { POD_PORT } from "../../../contract/runtime-protocol.ts";
import { LABELS, ROLES, type Platform } from "../../../cluster/labels.ts";
import type { WireObject } from "../../../cluster/wire.ts";

/** Port of the egress proxy's pods for sandboxes. */
const EGRESS_PORT = 3128;
const DEFAULT_DENY = "fnctl-default-deny";

export function networkPolicies(platform: Platform, metadata: (name: string) => WireObject["metadata"]): WireObject[] {
  const policy = (name: string, spec: object): WireObject => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(name),
    spec,
  });
  return [
    policy(DEFAULT_DENY, { podSelector: {}, policyTypes: ["Ingress", "Egress"] }),
    policy("fnctl-from-platform", {
      podSelector: {},
      policyTypes: ["Ingress"],
      ingress: [
        { from: [peer(platform, ROLES.gateway), peer(platform, ROLES.controlPlane)], ports: [{ protocol: "TCP", port: POD_PORT }] },
      ],
    }),
    policy("fnctl-to-egress-proxy", {
      podSelector: { matchLabels: { [LABELS.egress]: "true" } },
      policyTypes: ["Egress"],
      egress: [{ to: [peer(platform, ROLES.egress)], ports: [{ protocol: "TCP", port: EGRESS_PORT }] }],
    }),
  ];
}

/** One element with both selectors: two elements would mean "or", and any pod that carries the label would be let in (SECURITY B2). */
const peer = (platform: Platform, role: string) => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": platform.namespace } },
  podSelector: { matchLabels: { [LABELS.role]: role } },
});
