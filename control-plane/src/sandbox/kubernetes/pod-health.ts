// What is known of pods beyond the API server's state: which of them have answered, and which no longer do.
import { PlatformError } from "../../contract/errors.ts";
import { askHealth, isGeneric } from "../../sandbox-client/health.ts";
import type { StandingConnections } from "../../sandbox-client/standing-connections.ts";
import type { Sandbox } from "../driver.ts";
import { podName } from "../../cluster/labels.ts";
import { addressOf, imageOf, instanceOf, isRunning, type Pod } from "./pod-state.ts";
import type { Pods } from "./pods.ts";
import type { KnockTarget, Pulse } from "./pulse.ts";

interface SightInput {
  pods: Pick<Pods, "all">;
  connections: Pick<StandingConnections, "to">;
  pulse: Pick<Pulse, "silent" | "watch">;
  isStarting(id: string): boolean;
}

export function createPodHealth({ pods, connections, pulse, isStarting }: SightInput) {
  /** Ids of pods that have answered once; before that an unloaded pod may still be starting. */
  const healthy = new Set<string>();

  function describe(pod: Pod): Sandbox | undefined {
    const id = idOf(pod);
    return instanceOf(pod, { healthy: healthy.has(id), silent: pulse.silent().has(id) });
  }
  function mustDescribe(pod: Pod | undefined): Sandbox {
    const instance = pod === undefined ? undefined : describe(pod);
    if (instance === undefined) throw new PlatformError("NOT_FOUND", "No such sandbox.");
    return instance;
  }

  /** Asks an unloaded pod whether it is up, because that is not known after a restart of the control plane. */
  async function findOut(pod: Pod): Promise<void> {
    const id = idOf(pod);
    const instance = instanceOf(pod, { healthy: true, silent: false });
    if (instance?.state !== "idle" || healthy.has(id) || isStarting(id) || instance.address === undefined || !isRunning(pod)) return;
    if (isGeneric(await askHealth(connections.to(id, instance.address)))) healthy.add(id);
  }
  async function list(): Promise<Sandbox[]> {
    const all = await pods.all();
    await Promise.all(all.map(findOut));
    pulse.watch(new Map(all.filter((pod) => healthy.has(idOf(pod)) || imageOf(pod) !== undefined).flatMap(placeOf)));
    const silent = pulse.silent();
    return all.flatMap((pod) => instanceOf(pod, { healthy: healthy.has(idOf(pod)), silent: silent.has(idOf(pod)) }) ?? []);
  }

  return { healthy, mustDescribe, list };
}

const idOf = (pod: Pod): string => pod.metadata.name.slice(podName("").length);
/** The address at which the pod is knocked at, while its node reports it as running. */
function placeOf(pod: Pod): [string, KnockTarget][] {
  const address = isRunning(pod) ? addressOf(pod) : undefined;
  return address?.kind === "tls" ? [[idOf(pod), { host: address.host, port: address.port, tenant: pod.metadata.namespace }]] : [];
}
