// Points the control plane's Service at the owner. The owner writes this one endpoint itself, because a selector would also match the
// replicas that wait to become owner.
import { KubernetesObjectApi, PatchStrategy, type KubeConfig, type KubernetesObject } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";
import { FIELD_MANAGER } from "./labels.ts";

export interface OwnEndpoint {
  namespace: string;
  service: string;
  address: string;
  ports: { name: string; port: number }[];
}

export async function publishEndpoint(config: KubeConfig, { namespace, service, address, ports }: OwnEndpoint): Promise<void> {
  const object = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: service,
      namespace,
      labels: { "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "fnctl" },
    },
    addressType: address.includes(":") ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: ports.map((each) => ({ ...each, protocol: "TCP" })),
  } as KubernetesObject;
  const api = KubernetesObjectApi.makeApiClient(config);
  await calling("publish the endpoint", api.patch(object, undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply));
}
