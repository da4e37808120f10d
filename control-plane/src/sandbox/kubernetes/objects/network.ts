// NetworkPolicies of a tenant's namespace: they deny all traffic in and out except for the connections named here (SECURITY B1-B3).
import { POD_PORT } from "../../../contract/runtime-protocol.ts";
import { LABELS, ROLES, type Platform } from "../../../cluster/labels.ts";
import type { WireObject } from "../../../cluster/wire.ts";

/** Port on which the egress proxy's pods accept sandboxes. */
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

/** Both selectors are in one element: two elements would mean "or", and any pod with the label would be let in (SECURITY B2). */
const peer = (platform: Platform, role: string) => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": platform.namespace } },
  podSelector: { matchLabels: { [LABELS.role]: role } },
});
