// Says in the cluster who owns it now: the admission policy compares each new pod's epoch with this (SECURITY fact 8), and the kind's own
// rule lets it go forward only. Written before anything is started.
import { KubernetesObjectApi, PatchStrategy, type KubeConfig, type KubernetesObject } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";
import { FIELD_MANAGER } from "./labels.ts";

/** Rejects when a newer owner has written its epoch already. */
export async function announceEpoch(config: KubeConfig, namespace: string, name: string, epoch: number): Promise<void> {
  const object = { apiVersion: "fnctl.dev/v1", kind: "Epoch", metadata: { name, namespace }, spec: { epoch } } as KubernetesObject;
  const api = KubernetesObjectApi.makeApiClient(config);
  await calling("announce the epoch", api.patch(object, undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply));
}
