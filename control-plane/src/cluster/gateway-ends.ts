// Sees that a gateway's process has ended: its pod's status says so, as the kubelet reported it. A pod that is gone, or a node that is silent,
// proves nothing.
import { CoreV1Api, type KubeConfig, type V1Pod } from "@kubernetes/client-node";
import type { GatewayEnded } from "../contract/holder.ts";
import { calling } from "./api-error.ts";

const LOOK_MS = 1_000;
const GATEWAYS = "fnctl.dev/role=gateway";

export interface GatewayEndsOptions {
  config: KubeConfig;
  namespace: string;
  onEnded(ended: GatewayEnded): void;
  onError(error: unknown): void;
}

/**
 * The last end of the pod's process. A gateway that began later on the same node is another one; times of the status are whole seconds, cut, so
 * none of those began before.
 */
export function endOf(pod: V1Pod): GatewayEnded | undefined {
  const status = pod.status?.containerStatuses?.find(({ name }) => name === "gateway");
  const finished = (status?.state?.terminated ?? status?.lastState?.terminated)?.finishedAt;
  const gateway = pod.metadata?.uid;
  return finished === undefined || gateway === undefined ? undefined : { gateway, before: new Date(finished).getTime() };
}

/** Looks every second until it is closed; each end is told once. */
export function watchGatewayEnds({ config, namespace, onEnded, onError }: GatewayEndsOptions): { close(): void } {
  const core = config.makeApiClient(CoreV1Api);
  let told = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  async function look(): Promise<void> {
    // "0": what the API server has in memory will do.
    const asked = core.listNamespacedPod({ namespace, labelSelector: GATEWAYS, resourceVersion: "0" });
    const { items } = await calling("look at the gateways", asked);
    const seen = new Map<string, number>();
    for (const end of items.flatMap((pod) => endOf(pod) ?? [])) {
      seen.set(end.gateway, end.before ?? 0);
      if (told.get(end.gateway) !== end.before) onEnded(end);
    }
    told = seen;
  }
  async function lookAndGoOn(): Promise<void> {
    await look().catch(onError);
    if (!isClosed) timer = setTimeout(() => void lookAndGoOn(), LOOK_MS).unref();
  }
  void lookAndGoOn();
  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
