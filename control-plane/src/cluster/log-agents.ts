// Finds the addresses of the log agents: the endpoints of their headless service, as the API server knows them.
import { DiscoveryV1Api, type KubeConfig } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";

/** The node of one agent, and the address at which it answers. */
export interface LogAgentAddress {
  node: string;
  host: string;
  port: number;
}

/** Calls within this time share one answer of the API server. */
const FRESH_MS = 1_000;

/**
 * The result includes agents that are not ready, because a reader of logs must be told of a node that does not answer, but not agents that
 * are terminating.
 */
export function createLogAgentFinder(config: KubeConfig, namespace: string, service: string): () => Promise<LogAgentAddress[]> {
  const discovery = config.makeApiClient(DiscoveryV1Api);
  let known: { at: number; places: Promise<LogAgentAddress[]> } | undefined;

  async function look(): Promise<LogAgentAddress[]> {
    const labelSelector = `kubernetes.io/service-name=${service}`;
    const { items } = await calling("find the log agents", discovery.listNamespacedEndpointSlice({ namespace, labelSelector }));
    return items.flatMap(({ endpoints = [], ports = [] }) =>
      endpoints.flatMap(({ addresses, conditions, nodeName }) => {
        const [host, port] = [addresses[0], ports[0]?.port];
        const there = host !== undefined && port !== undefined && conditions?.terminating !== true;
        return there ? [{ node: nodeName ?? host, host, port }] : [];
      }),
    );
  }
  return () => {
    if (known === undefined || Date.now() - known.at > FRESH_MS) {
      const places = look();
      known = { at: Date.now(), places };
      places.catch(() => (known = undefined));
    }
    return known.places;
  };
}
