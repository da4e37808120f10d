// Where the log agents are: the endpoints of their headless service, as the API server knows them.
import { DiscoveryV1Api, type KubeConfig } from "@kubernetes/client-node";
import { calling } from "./api-error.ts";

/** Where an agent is. */
export interface LogAgentAddress {
  node: string;
  host: string;
  port: number;
}

/** Reads close together share an answer. */
const FRESH_MS = 1_000;

/** Those that are not ready are among them: a reader must be told of a node that does not answer. Those that end are not. */
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
