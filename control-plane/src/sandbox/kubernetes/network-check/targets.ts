// The addresses of this cluster that a sandbox must not reach, and the only one that it may reach, the egress proxy (SECURITY B3). Pure.
import type { Condition, ProbeResult } from "../../../contract/conditions.ts";
import type { ProbeTarget } from "./probe.ts";

export interface Target extends ProbeTarget {
  name: string;
  /** A sandbox with access to the egress proxy may reach this target. */
  allowed?: true;
  /** If even the platform's own pod does not reach this target, then nothing is proved, and the check does not succeed. */
  mustBeProved?: true;
  /** The address of a Service: without ready pods behind it the node itself refuses connections, before any policy applies. */
  service?: true;
  /** The target does not exist in most clusters, so the platform's pod does not try it. */
  onlyFromSandbox?: true;
}
interface Place {
  host: string;
  port: number;
}
export interface ClusterFacts {
  otherTenant: Place;
  sameTenant: Place;
  egress: Place;
  /** Addresses of the control plane's Service. */
  controlPlane: Place[];
  /** Addresses of the control plane's own pod. */
  own: Place[];
  gateway: Place[];
  logAgents: Place[];
  database: Place | undefined;
  /** The API server's Service. */
  api: Place;
  nodes: string[];
  /** Ports by which the gateway is reached on every node; empty if it has none. */
  nodePorts: number[];
  nameServers: string[];
}

const service = (target: Target): Target => ({ ...target, service: true });
const tcp = (name: string, { host, port }: Place): Target => ({ name, protocol: "tcp", host, port });
/** Only IPv4 hosts are pinged: no network is known that lets one of ICMP and ICMPv6 through and not the other. */
const pings = (name: string, hosts: readonly string[]): Target[] =>
  [...new Set(hosts)].filter((host) => !host.includes(":")).map((host) => ({ name: `${name}, by ICMP`, protocol: "icmp", host, port: 0 }));
const KUBELET_PORTS = [10_250, 10_255];
const API_PORT = 6443;
const DNS_PORT = 53;

/** Metadata services of clouds, which hold secrets of the node, and addresses that leave the pod network in other ways. */
const ELSEWHERE: readonly Target[] = [
  ["metadata of AWS, Azure, OpenStack", "169.254.169.254", 80],
  ["metadata of AWS over IPv6", "fd00:ec2::254", 80],
  ["metadata of Google over IPv6", "fd20:ce::254", 80],
  ["Azure's host agent", "168.63.129.16", 80],
  ["metadata of Alibaba", "100.100.100.200", 80],
  ["metadata of Oracle", "192.0.0.192", 80],
  ["the internet", "1.1.1.1", 443],
  ["the internet over IPv6", "2606:4700:4700::1111", 443],
].map(([name, host, port]) => ({ ...tcp(String(name), { host: String(host), port: Number(port) }), onlyFromSandbox: true as const }));
const UDP_ELSEWHERE: readonly Target[] = [
  { name: "QUIC", protocol: "udp", host: "1.1.1.1", port: 443, onlyFromSandbox: true },
  { name: "a public name server", protocol: "udp", host: "1.1.1.1", port: DNS_PORT, onlyFromSandbox: true },
  { name: "multicast", protocol: "udp", host: "224.0.0.251", port: 5353, onlyFromSandbox: true },
  { name: "link-local IPv6", protocol: "udp", host: "ff02::1", port: 5353, onlyFromSandbox: true },
];

export function targetsOf(facts: ClusterFacts): Target[] {
  return [
    { ...tcp("the egress proxy", facts.egress), allowed: true },
    { ...tcp("another tenant's sandbox", facts.otherTenant), mustBeProved: true },
    { ...tcp("another sandbox of the same tenant", facts.sameTenant), mustBeProved: true },
    ...facts.controlPlane.map((place) => service(tcp("the control plane", place))),
    ...facts.own.map((place) => tcp("the control plane", place)),
    ...facts.gateway.map((place) => service(tcp("the gateway", place))),
    ...facts.logAgents.map((place) => tcp("a log agent", place)),
    ...(facts.database === undefined ? [] : [tcp("the database", facts.database)]),
    tcp("the Kubernetes API", facts.api),
    ...facts.nodes.flatMap((host) => [API_PORT, ...KUBELET_PORTS].map((port) => tcp("a node", { host, port }))),
    ...facts.nodes.flatMap((host) => facts.nodePorts.map((port) => service(tcp("the gateway at a node", { host, port })))),
    ...facts.nameServers.flatMap((host): Target[] => [
      { name: "the cluster's DNS", protocol: "udp", host, port: DNS_PORT },
      tcp("the cluster's DNS", { host, port: DNS_PORT }),
    ]),
    ...pings("another tenant's sandbox", [facts.otherTenant.host]),
    ...pings("another sandbox of the same tenant", [facts.sameTenant.host]),
    ...pings(
      "the control plane",
      facts.own.map(({ host }) => host),
    ),
    ...pings("a node", facts.nodes),
    ...pings("the internet", ["1.1.1.1"]).map((target) => ({ ...target, onlyFromSandbox: true as const })),
    ...ELSEWHERE,
    ...UDP_ELSEWHERE,
  ];
}

/** `fromSandbox` and `fromPlatform` are in the order of `targets`; the latter is undefined for targets that the platform does not try. */
export function judge(
  targets: readonly Target[],
  fromSandbox: readonly string[],
  fromPlatform: readonly (string | undefined)[],
  at: Date,
): Condition {
  const probes = targets.map((target, index): ProbeResult => {
    const seen = fromPlatform[index];
    return {
      target: target.name,
      address: `${target.host.includes(":") ? `[${target.host}]` : target.host}${target.port === 0 ? "" : `:${target.port}`}/${target.protocol}`,
      allowed: target.allowed ?? false,
      fromSandbox: fromSandbox[index] ?? "not tried",
      ...(seen === undefined ? {} : { fromPlatform: seen }),
    };
  });
  const holes = targets.flatMap((target, index) => holeOf(target, probes[index]!));
  const doubts = targets.flatMap((target, index) => doubtOf(target, probes[index]!));
  const result = { type: "NetworkIsolationVerified" as const, at: at.toISOString(), probes };
  if (holes.length > 0) return { ...result, status: "False", message: [...holes, ...doubts].join(" ") };
  if (doubts.length > 0) return { ...result, status: "Unknown", message: doubts.join(" ") };
  const proved = probes.filter(({ allowed, fromPlatform: seen }) => !allowed && seen === "open").length;
  return {
    ...result,
    status: "True",
    message: `${probes.length - 1} targets are closed to sandboxes, ${proved} of them proved to be there.`,
  };
}

/** Results that prove an attempt was blocked. Any other error proves nothing: the packet might have got through. */
const CLOSED: ReadonlySet<string> = new Set([
  "silent",
  "ECONNREFUSED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  // The address family or the socket does not exist, or the process has no right to it, so no packet leaves.
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
  "EPROTONOSUPPORT",
  "ESOCKTNOSUPPORT",
  "EACCES",
  "EPERM",
]);

function holeOf(target: Target, { address, fromSandbox, fromPlatform }: ProbeResult): string[] {
  if (target.allowed === true) return [];
  // A refusal may come from the network policy, but only if the target would have answered otherwise. A Service without pods is refused by
  // the node (kube-proxy) to every client and before any policy; this happens while the gateways start.
  const refusedByNobody =
    target.service !== true && fromSandbox === "ECONNREFUSED" && fromPlatform !== undefined && fromPlatform !== "open";
  return fromSandbox === "open" || refusedByNobody ? [`Sandboxes reach ${target.name} (${address}).`] : [];
}

/** Reasons why closed targets prove nothing: everything might be closed for another reason, such as a component that is being replaced. */
function doubtOf(target: Target, { address, fromSandbox, fromPlatform }: ProbeResult): string[] {
  if (target.allowed === true && fromSandbox !== "open") return [`Sandboxes cannot reach ${target.name} (${address}: ${fromSandbox}).`];
  if (target.allowed !== true && fromSandbox !== "open" && !CLOSED.has(fromSandbox))
    return [`Nothing is proved about ${target.name} (${address}): it could not be tried (${fromSandbox}).`];
  if (target.mustBeProved === true && fromPlatform !== "open")
    return [`Nothing is proved about ${target.name} (${address}): the platform itself does not reach it (${String(fromPlatform)}).`];
  return [];
}
