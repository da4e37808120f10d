// A whole platform on the real cluster, as an operator installs it: images pushed, an outside Postgres, the chart, the first tenant.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createRegistryStore } from "@fnctl/control-plane/images/registry/store";
import { pushImages } from "../../cluster/src/platform-image.ts";
import { findRegistries } from "../../single/src/registries.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";
import { CHART } from "./chart.ts";
import { run, type Cluster } from "./cluster.ts";

export interface PlatformHost {
  namespace: string;
  prefix: string;
  domain: string;
  /** URL of the gateway, as this machine reaches it. */
  url: string;
  token: string;
  operatorToken: string;
  kubectl(args: string[], input?: string): Promise<string>;
  helm(args: string[]): Promise<string>;
  /** Installs or upgrades the chart with these values changed. */
  install(set?: Record<string, string>): Promise<string>;
  close(): Promise<void>;
}
/** Address of this machine, as pods see it. */
export const HOST_ADDRESS = process.env["FNCTL_TEST_HOST_ADDRESS"] ?? "10.201.0.1";
export const NODES = process.env["FNCTL_TEST_NODES"] ?? "10.201.0.0/24";
/** A free service address, so that the host name that clients use is known before the installation. */
export const GATEWAY_ADDRESS = process.env["FNCTL_TEST_GATEWAY_ADDRESS"] ?? "10.96.77.7";
/** A folder on the node that is removed with the suite's own cluster. */
const NODE_STATE = process.env["FNCTL_TEST_NODE_STATE"] ?? "/var/tmp/fnctl-cluster/log-agents";
const RELEASE = "fnctl";
export const TENANT = "acme";

/** `site`: values that differ from those of other suites, as for `install`. */
export async function createPlatformHost(cluster: Cluster, site: Record<string, string> = {}): Promise<PlatformHost> {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-cluster-platform-"));
  const namespace = `fnctl-sys-${randomBytes(3).toString("hex")}`;
  const prefix = `t${randomBytes(3).toString("hex")}`;
  const kubectl = (args: string[], input?: string) => run(cluster, "kubectl", args, input);
  const helm = (args: string[]) => run(cluster, "helm", [...args, "--namespace", namespace]);
  const postgres = await startTestPostgres({ address: HOST_ADDRESS, clients: NODES });
  const values = await writeValues(cluster, folder, prefix, postgres);
  await kubectl(["create", "namespace", namespace]);
  const uid = (await kubectl(["get", "namespace", namespace, "-o", "jsonpath={.metadata.uid}"])).trim();
  await kubectl(["create", "secret", "generic", "fnctl-database-admin", "-n", namespace, `--from-literal=url=${postgres.tcp}`]);
  await addCa(folder, namespace, kubectl);
  const host: PlatformHost = {
    namespace,
    prefix,
    domain: "fn.test",
    url: `http://${GATEWAY_ADDRESS}`,
    token: "",
    operatorToken: "",
    kubectl,
    helm,
    install: (set = {}) =>
      helm([
        "upgrade",
        "--install",
        RELEASE,
        CHART,
        `--values=${values}`,
        "--wait",
        "--timeout=80s",
        ...Object.entries({ ...site, ...set }).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
      ]),
    async close() {
      await helm(["uninstall", RELEASE, "--wait", "--timeout", "60s"]).catch(() => undefined);
      await kubectl(["delete", "namespace", "-l", `fnctl.dev/platform=${uid}`, "--wait=false"]); // leaves other platforms' tenants alone
      await kubectl(["delete", "namespace", namespace, "--wait=false"]);
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await host.install();
    await begin(host);
  } catch (error) {
    process.stderr.write(await diagnose(kubectl, namespace));
    await host.close();
    throw error;
  }
  return host;
}

/** Collects the output that an operator would look at when the installation does not come up. */
async function diagnose(kubectl: PlatformHost["kubectl"], namespace: string): Promise<string> {
  const ask = (...args: string[]) => kubectl([...args, "-n", namespace]).catch(String);
  const logs = await Promise.all(
    ["job/fnctl-migrate", "deploy/fnctl-control-plane", "deploy/fnctl-gateway", "deploy/fnctl-egress", "daemonset/fnctl-log-agent"].map(
      (what) => ask("logs", what, "--tail=30"),
    ),
  );
  return [await ask("get", "pods", "-o", "wide"), await ask("get", "events", "--sort-by=.lastTimestamp"), ...logs].join("\n");
}

async function begin(host: PlatformHost): Promise<void> {
  const { kubectl, namespace } = host;
  const bootstrap = ["node", "/opt/fnctl/platform/bootstrap.mjs", TENANT];
  const made = await kubectl(["exec", "-n", namespace, "deploy/fnctl-control-plane", "--", ...bootstrap]);
  host.token = /^token +(\S+)$/m.exec(made)?.[1] ?? "";
  host.operatorToken = /^operator token +(\S+)$/m.exec(made)?.[1] ?? "";
}

async function writeValues(cluster: Cluster, folder: string, prefix: string, postgres: TestPostgres): Promise<string> {
  const url = `http://${cluster.registry}/fnctl`;
  const store = createRegistryStore({ url, spoolDir: folder });
  const { platform } = await pushImages(store, process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl", () => undefined);
  const values = {
    image: { prefix: `${cluster.registry}/fnctl`, digest: platform },
    registry: { url },
    ...(await siteValues(folder, postgres)),
    tenants: { prefix, podSecurity: "v1.34" },
    runtimeClasses: await missingRuntimeClasses(cluster),
  };
  const file = path.join(folder, "values.json");
  await writeFile(file, JSON.stringify(values));
  return file;
}

/** The values that an operator of this cluster writes into `site.yaml`. */
export async function siteValues(folder: string, postgres: TestPostgres): Promise<object> {
  const registries = await findRegistries(folder, () => undefined);
  const database = new URL(postgres.tcp);
  return {
    database: { host: database.hostname, port: Number(database.port), name: "fnctl", sslmode: "disable" },
    domain: "fn.test",
    publicUrl: "http://fn.test",
    gateway: {
      service: { clusterIP: GATEWAY_ADDRESS },
      apiHosts: [GATEWAY_ADDRESS],
      replicas: 2,
      allowPathRoutes: true,
    },
    logAgent: { stateDir: NODE_STATE },
    egress: { replicas: 1, allowPrivate: registries.addresses },
    build: { ...registries, addresses: undefined, caConfigMap: process.env["NODE_EXTRA_CA_CERTS"] === undefined ? "" : "extra-ca" },
  };
}

/** A cluster from KUBECONFIG may have the runtime classes already. */
async function missingRuntimeClasses(cluster: Cluster): Promise<Record<string, { create: boolean }>> {
  const there = (await run(cluster, "kubectl", ["get", "runtimeclass", "-o", "name"])).split("\n");
  return Object.fromEntries(["gvisor", "kata"].map((name) => [name, { create: !there.includes(`runtimeclass.node.k8s.io/${name}`) }]));
}

/** Adds this machine's own root certificates, in case its package registries need them. */
async function addCa(folder: string, namespace: string, kubectl: PlatformHost["kubectl"]): Promise<void> {
  const bundle = process.env["NODE_EXTRA_CA_CERTS"];
  if (bundle !== undefined) await kubectl(["create", "configmap", "extra-ca", "-n", namespace, `--from-file=ca.pem=${bundle}`]);
}
