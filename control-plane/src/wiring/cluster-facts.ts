// Collects the addresses in this cluster that the network check tries to reach.
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { CoreV1Api, type KubeConfig } from "@kubernetes/client-node";
import { createLogAgentFinder } from "../cluster/log-agents.ts";
import type { ClusterFacts } from "../sandbox/kubernetes/network-check/targets.ts";
import type { ClusterSettings } from "./kubernetes-host.ts";

const POSTGRES_PORT = 5432;

export async function readClusterFacts(
  config: KubeConfig,
  settings: ClusterSettings,
): Promise<Omit<ClusterFacts, "otherTenant" | "sameTenant">> {
  const core = config.makeApiClient(CoreV1Api);
  const namespace = settings.FNCTL_NAMESPACE;
  const service = async (name: string) => {
    const { spec } = await core.readNamespacedService({ name, namespace });
    return (spec?.ports ?? []).map(({ port, nodePort }) => ({ host: spec?.clusterIP ?? "", port, nodePort }));
  };
  const [egress, gateway, calls, control, nodes, resolver, logAgents] = await Promise.all([
    service(settings.FNCTL_EGRESS_SERVICE),
    service(settings.FNCTL_GATEWAY_SERVICE),
    service(`${settings.FNCTL_GATEWAY_SERVICE}-calls`),
    service(settings.FNCTL_CONTROL_SERVICE),
    core.listNode(),
    readFile("/etc/resolv.conf", "utf8"),
    createLogAgentFinder(config, namespace, settings.FNCTL_AGENT_SERVICE)(),
  ]);
  const database = new URL(settings.FNCTL_DB_APP);
  const ownPorts = [settings.FNCTL_API_SOCKET, settings.FNCTL_CONTROL_SOCKET, settings.FNCTL_EGRESS_FEED_SOCKET].flatMap((at) =>
    at.kind === "tcp" ? [at.port] : [],
  );
  return {
    egress: egress[0] ?? { host: "", port: 0 },
    gateway: [...gateway, ...calls],
    logAgents,
    controlPlane: control,
    own: ownPorts.map((port) => ({ host: settings.FNCTL_POD_ADDRESS, port })),
    // The name is resolved here: sandboxes have no DNS, and a name that they cannot resolve proves nothing.
    database: {
      host: (await lookup(database.hostname.replace(/^\[|\]$/g, ""))).address,
      port: Number(database.port === "" ? POSTGRES_PORT : database.port),
    },
    api: { host: settings.KUBERNETES_SERVICE_HOST, port: settings.KUBERNETES_SERVICE_PORT },
    nodes: nodes.items.flatMap(({ status }) =>
      (status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address),
    ),
    nodePorts: gateway.flatMap(({ nodePort }) => nodePort ?? []),
    nameServers: [...resolver.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address = ""]) => address),
  };
}
