// Publishes the owner's epoch in the cluster: the admission policy compares each new pod's epoch with it (SECURITY fact 8), and a rule of
// the custom resource lets the epoch only grow. It is written before any pod is started.
import { KubernetesObjectApi, PatchStrategy, type KubeConfig, type KubernetesObject } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";
import { FIELD_MANAGER } from "./labels.ts";

/** Rejects when a newer owner has already written a higher epoch. */
export async function announceEpoch(config: KubeConfig, namespace: string, name: string, epoch: number): Promise<void> {
  const object = { apiVersion: "fnctl.dev/v1", kind: "Epoch", metadata: { name, namespace }, spec: { epoch } } as KubernetesObject;
  const api = KubernetesObjectApi.makeApiClient(config);
  await calling("announce the epoch", api.patch(object, undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply));
}
