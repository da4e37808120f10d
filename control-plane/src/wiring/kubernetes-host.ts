// The host in a cluster: pods are made through the API server, sandboxes reach the egress proxy with a credential, layers come from the
// registry.
import { readFileSync } from "node:fs";
import { CoreV1Api, type KubeConfig } from "@kubernetes/client-node";
import { conditionSchema, type Condition } from "../contract/conditions.ts";
import type { ListenAddress } from "../contract/endpoint.ts";
import { PlatformError } from "../contract/errors.ts";
import { ISOLATIONS } from "../contract/limits.ts";
import type { Isolation } from "../contract/names.ts";
import { ENTER_PROGRAM, FORMER_ENTER_PROGRAM } from "../contract/runtime-protocol.ts";
import { createEgressCredentials } from "../egress/egress-credentials.ts";
import { createAgentsClient } from "../logs/read/log-agents-client.ts";
import { createLogChannelDirectory, type LogChannelDirectory } from "../sandbox/kubernetes/log-channel-directory.ts";
import type { Sandbox, SandboxSpec } from "../sandbox/driver.ts";
import type { VersionInfo } from "../instances/start/version-info.ts";
import { createLayerMemory } from "../images/layer-memory.ts";
import { watchGatewayEnds } from "../cluster/gateway-ends.ts";
import { createLogAgentFinder } from "../cluster/log-agents.ts";
import { createKubernetesDriver } from "../sandbox/kubernetes/driver.ts";
import { PooledKubeConfig } from "../cluster/pooled-config.ts";
import { createChecks, type Checks } from "../sandbox/kubernetes/checks.ts";
import { isProbeTenant, probeLayer } from "../sandbox/kubernetes/probe-sandbox.ts";
import { publishEndpoint } from "../cluster/endpoint.ts";
import { announceEpoch } from "../cluster/epoch.ts";
import type { Enters } from "../sandbox/kubernetes/objects/pod.ts";
import { DEFAULT_QUOTA } from "../sandbox/kubernetes/objects/tenant.ts";
import type { Memory } from "../sandbox/kubernetes/verdict.ts";
import { readSecret } from "../service/settings/secret.ts";
import type { ControlPlaneSettings } from "./settings.ts";
import { readClusterFacts } from "./cluster-facts.ts";
import type { Data } from "./data.ts";
import { buildSource, functionClaims, type SandboxHost } from "./sandbox-host.ts";

export type ClusterSettings = Extract<ControlPlaneSettings, { FNCTL_DRIVER: "kubernetes" }>;

export async function wireKubernetesHost(
  settings: ClusterSettings,
  secret: string,
  data: Data,
  epoch: number,
  onError: (error: unknown) => void,
): Promise<SandboxHost> {
  const { config, core, uid } = await connectCluster(settings, epoch);
  const probes = await probeLayer();
  // The key holds the digest of the probes, so that results of an older check, which proved less, are not used.
  const memory = await readMemory(data.system, `${uid}/${probes.digest.slice(7, 23)}`, epoch, onError);
  let checks: Checks | undefined;
  let gateways: ReturnType<typeof watchGatewayEnds> | undefined;
  const layers = createLayerMemory(data.images);
  const way = await wireEgress(core, settings, secret);
  const pods = await createKubernetesDriver({
    config,
    ...namesOf(settings, uid),
    imageOf: (base) => `${settings.FNCTL_IMAGE_PREFIX}/base@${base}`,
    enters: createBaseBook(data.images, onError),
    layer: async (tenantId, digest) => (isProbeTenant(tenantId) && digest === probes.digest ? probes.layer : layers.get(tenantId, digest)),
    async verified({ tenantId, isolation }) {
      if (isProbeTenant(tenantId)) return;
      if (checks === undefined) throw new PlatformError("UNAVAILABLE", "The control plane is still starting.");
      await checks.require(isolation);
    },
    egressOf: way.egressOf,
    onError,
  });
  const book = createLogChannelDirectory((id) => pods.look(id));
  const agentSecret = readSecret(settings.FNCTL_AGENT_SECRET_FILE);
  return {
    ...NO_EGRESS_SOCKETS,
    openEgress: way.openEgress,
    renewEgress: way.renew,
    driver: book.remembering(pods),
    perTenant: true,
    ensureLayer: async (tenantId, digest) => void (await layers.get(tenantId, digest)),
    collector: agentsOf({ config, settings, book, agentSecret, onError }),
    agents: {
      secret: agentSecret,
      channels: async (ids) => (await book.channels(ids)).filter(({ tenantId }) => !isProbeTenant(tenantId)),
    },
    conditions: {
      current: () => checks?.current() ?? [],
      check: async () => (await checks?.run()) ?? [],
    },
    begin(base, onGatewayEnded) {
      gateways = watchGatewayEnds({ config, namespace: settings.FNCTL_NAMESPACE, onEnded: onGatewayEnded, onError });
      const facts = () => readClusterFacts(config, settings);
      const nodeBootId = async (id: string) => {
        const name = (await pods.look(id))?.node ?? "";
        return (await core.readNode({ name })).status?.nodeInfo?.bootID ?? "";
      };
      checks = createChecks({ driver: pods, isolations: pods.classes, base, epoch, facts, nodeBootId, memory, onError });
      checks.begin().catch(onError);
    },
    publish: () => publishOwner(config, settings),
    async close() {
      checks?.close();
      gateways?.close();
      await pods.close();
    },
  };
}

/** In a cluster sandboxes use the egress proxy with a credential and have no socket each. */
const NO_EGRESS_SOCKETS = { prepareEgress: async () => undefined, labelEgress: async () => undefined };

/** Connects as the owner of this epoch; the cluster refuses older owners from now on. */
async function connectCluster(settings: ClusterSettings, epoch: number) {
  // The Kubernetes client would obey it and then trust any process that answers in the API server's place (SECURITY C6).
  if (settings.NODE_TLS_REJECT_UNAUTHORIZED !== undefined) throw new Error("NODE_TLS_REJECT_UNAUTHORIZED must not be set.");
  const config = new PooledKubeConfig();
  config.loadFromCluster();
  const { FNCTL_NAMESPACE: namespace } = settings;
  const core = config.makeApiClient(CoreV1Api);
  await announceEpoch(config, namespace, settings.FNCTL_EPOCH_NAME, epoch);
  const uid = (await core.readNamespace({ name: namespace })).metadata?.uid;
  if (uid === undefined) throw new Error(`Namespace ${namespace} has no UID.`);
  return { config, core, uid };
}

/** Points the service of the control plane at this process. */
function publishOwner(config: KubeConfig, settings: ClusterSettings): Promise<void> {
  const { FNCTL_NAMESPACE: namespace, FNCTL_CONTROL_SERVICE: service, FNCTL_POD_ADDRESS: address } = settings;
  const port = (name: string, at: ListenAddress) => ({ name, port: at.kind === "tcp" ? at.port : 0 });
  const ports = [
    port("api", settings.FNCTL_API_SOCKET),
    port("internal", settings.FNCTL_CONTROL_SOCKET),
    port("egress", settings.FNCTL_EGRESS_FEED_SOCKET),
  ];
  return publishEndpoint(config, { namespace, service, address, ports });
}

/** The names of namespaces, accounts and roles. */
const namesOf = (settings: ClusterSettings, uid: string) => ({
  platform: { uid, namespace: settings.FNCTL_NAMESPACE, prefix: settings.FNCTL_TENANT_PREFIX },
  tenants: {
    podSecurity: settings.FNCTL_POD_SECURITY,
    quota: DEFAULT_QUOTA,
    controlPlaneAccount: settings.FNCTL_SERVICE_ACCOUNT,
    tenantRole: settings.FNCTL_TENANT_ROLE,
  },
});

async function wireEgress(core: CoreV1Api, settings: ClusterSettings, secret: string) {
  const credentials = createEgressCredentials(secret);
  const address = await egressAddress(core, settings);
  const allow = settings.FNCTL_BUILD_REGISTRIES.hosts;
  return {
    renew: credentials.renew,
    /** What a pod is given from its start: only a builder may reach anything before it is told what to do. */
    async egressOf({ id, kind, tenantId }: SandboxSpec): Promise<string> {
      if (kind === "function") return `http://${address}`;
      return `http://${id}:${await credentials.forBuilder(id, buildSource(tenantId ?? null, kind, allow))}@${address}`;
    },
    openEgress: async (sandbox: Sandbox, info: VersionInfo) => ({
      credential: await credentials.forFunction(sandbox.id, functionClaims(sandbox, info)),
    }),
  };
}

interface AgentsInput {
  config: KubeConfig;
  settings: ClusterSettings;
  book: Pick<LogChannelDirectory, "nodeOf">;
  agentSecret: string;
  onError(error: unknown): void;
}
/** The log agents of all nodes, each of which must show the platform's own certificate. */
const agentsOf = ({ config, settings, book, agentSecret, onError }: AgentsInput) =>
  createAgentsClient({
    find: createLogAgentFinder(config, settings.FNCTL_NAMESPACE, settings.FNCTL_AGENT_SERVICE),
    nodeOf: book.nodeOf,
    ca: readFileSync(settings.FNCTL_AGENT_CA_FILE, "utf8"),
    serverName: settings.FNCTL_AGENT_SERVICE,
    identity: {
      cert: readFileSync(settings.FNCTL_INTERNAL_CERT_FILE, "utf8"),
      key: readFileSync(settings.FNCTL_INTERNAL_KEY_FILE, "utf8"),
    },
    secret: agentSecret,
    onError,
  });

/** Reads the conditions of each isolation class that earlier owners stored; returns a store for the conditions of this one. */
async function readMemory(system: Data["system"], place: string, epoch: number, onError: (error: unknown) => void) {
  const placeOf = (isolation: Isolation) => `${place}/${isolation}`;
  const before = new Map<string, Condition>();
  for (const type of conditionSchema.shape.type.options)
    for (const isolation of ISOLATIONS) {
      // A condition that is not understood is ignored.
      const { data } = conditionSchema.safeParse(await system.condition(type, placeOf(isolation)));
      if (data !== undefined) before.set(`${type}/${isolation}`, data);
    }
  return (type: Condition["type"], isolation: Isolation): Memory => ({
    before: before.get(`${type}/${isolation}`),
    keep: (condition) => void system.keepCondition({ type, place: placeOf(isolation), epoch, condition }).catch(onError),
  });
}

/** Reads once for each base image which first program it has; a base that cannot be read is treated as one without. */
function createBaseBook(images: Data["images"], onError: (error: unknown) => void): (base: string) => Promise<Enters> {
  const known = new Map<string, Promise<Enters>>();
  const read = async (base: string): Promise<Enters> => {
    const { Entrypoint: program } = (await images.getImage("base", base)).config.config;
    if (program.includes(ENTER_PROGRAM)) return "fully";
    return program.includes(FORMER_ENTER_PROGRAM) ? "mounts" : "not";
  };
  return (base) => {
    const answer = known.get(base) ?? read(base);
    known.set(base, answer);
    return answer.catch((error: unknown) => {
      known.delete(base);
      onError(error);
      return "not";
    });
  };
}

/** Returns the service's address instead of its name, because sandboxes have no DNS; a service's address never changes. */
async function egressAddress(
  core: CoreV1Api,
  { FNCTL_EGRESS_SERVICE: name, FNCTL_NAMESPACE: namespace }: ClusterSettings,
): Promise<string> {
  const { spec } = await core.readNamespacedService({ name, namespace });
  const [host, port] = [spec?.clusterIP, spec?.ports?.[0]?.port];
  if (host === undefined || port === undefined) throw new Error(`Service ${name} has no address.`);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
