// Says in the cluster who owns it now: the admission policy compares each new pod's epoch with this (SECURITY fact 8), and lets it go
// forward only. Written before anything is started.
import { CoreV1Api, PatchStrategy, setHeaderOptions, type KubeConfig } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";
import { FIELD_MANAGER } from "./objects/marks.ts";

export async function announceEpoch(config: KubeConfig, namespace: string, name: string, epoch: number): Promise<void> {
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data: { epoch: String(epoch) } };
  const apply = config
    .makeApiClient(CoreV1Api)
    .patchNamespacedConfigMap(
      { name, namespace, body, fieldManager: FIELD_MANAGER, force: true },
      setHeaderOptions("Content-Type", PatchStrategy.ServerSideApply),
    );
  await calling("announce the epoch", apply);
}
