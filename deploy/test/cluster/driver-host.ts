// Prepares the real cluster for a Kubernetes driver that runs in the test process, outside of any pod; for the conformance suite.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import tar from "tar-stream";
import {
  createKubernetesDriver,
  type KubernetesDriver,
  type KubernetesDriverOptions,
} from "@fnctl/control-plane/sandbox/kubernetes/driver";
import { PooledKubeConfig } from "@fnctl/control-plane/cluster/pooled-config";
import { DEFAULT_QUOTA } from "@fnctl/control-plane/sandbox/kubernetes/objects/tenant";
import type { ImageRef, SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { newInstanceId } from "@fnctl/control-plane/service/uuid7";
import { pushBase } from "./bases.ts";
import { run, type Cluster } from "./cluster.ts";

export interface DriverHost {
  driver: KubernetesDriver;
  options: KubernetesDriverOptions;
  tenantId: string;
  /** Digest of the Node base. */
  base: string;
  spec(overrides?: Partial<SandboxSpec>): SandboxSpec;
  place(files: Record<string, string>, tenantId?: string): Promise<ImageRef>;
  errors: unknown[];
  close(): Promise<void>;
}
/** The address of this process, as pods see it. */
const HOST_CIDR = process.env["FNCTL_TEST_HOST_CIDR"] ?? "10.201.0.1/32";

export async function createDriverHost(cluster: Cluster): Promise<DriverHost> {
  const kubectl = (args: string[], input?: string) => run(cluster, "kubectl", args, input);
  const system = `fnctl-test-${randomBytes(3).toString("hex")}`;
  await kubectl(["create", "namespace", system]);
  const uid = (await kubectl(["get", "namespace", system, "-o", "jsonpath={.metadata.uid}"])).trim();
  const base = await pushBase(cluster, "node24");
  const config = new PooledKubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const layers = new Map<string, Buffer>();
  const errors: unknown[] = [];
  const options: KubernetesDriverOptions = {
    config,
    platform: { uid, namespace: system, prefix: system },
    tenants: { podSecurity: "v1.34", quota: DEFAULT_QUOTA, controlPlaneAccount: "control-plane", tenantRole: "fnctl-tenant" },
    imageOf: (digest) => `${cluster.registry}/base@${digest}`,
    enters: async () => "fully",
    async layer(_tenantId, digest) {
      const bytes = layers.get(digest);
      if (bytes === undefined) throw new PlatformError("SANDBOX_FAILED", "There is no such layer.");
      return { bytes: bytes.length, open: () => Readable.from([bytes]) };
    },
    egressOf: async () => undefined,
    onError: (error) => void errors.push(error),
  };
  const door = openDoor(cluster, uid);
  const host: DriverHost = {
    driver: await createKubernetesDriver(options),
    options,
    tenantId: randomUUID(),
    base: base.digest,
    errors,
    spec: (overrides = {}) => ({
      id: newInstanceId(),
      kind: "function",
      base: base.digest,
      isolation: "gvisor",
      memoryMib: 128,
      egress: false,
      epoch: 1,
      tenantId: host.tenantId,
      codeMib: 16,
      ...overrides,
    }),
    async place(files, tenantId = host.tenantId) {
      const bytes = await layerOf(files);
      const layer = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      layers.set(layer, bytes);
      return { tenantId, functionId: randomUUID(), versionId: randomUUID(), version: 1, configHash: "0".repeat(64), layer };
    },
    async close() {
      await host.driver.close();
      door.kill();
      await kubectl(["delete", "namespace", "-l", `fnctl.dev/platform=${uid}`, "--wait=false"]);
      await kubectl(["delete", "namespace", system, "--wait=false"]);
    },
  };
  return host;
}

/**
 * The tenants' network policies admit only the platform's pods, and this process is not one, so each tenant's namespace gets another policy
 * that admits this machine. Other tests show from inside pods what the policies keep out.
 */
function openDoor(cluster: Cluster, uid: string): ChildProcess {
  const PATH = cluster.bin === null ? process.env["PATH"] : `${cluster.bin}:${process.env["PATH"] ?? ""}`;
  const watch = spawn("kubectl", ["get", "namespaces", "-l", `fnctl.dev/platform=${uid}`, "--watch", "-o", "name"], {
    env: { ...process.env, PATH, KUBECONFIG: cluster.kubeconfig },
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: watch.stdout }).on("line", (line) => {
    const policy = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "test-from-host", namespace: line.slice(line.indexOf("/") + 1) },
      spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from: [{ ipBlock: { cidr: HOST_CIDR } }] }] },
    };
    // This fails for a namespace that is being deleted.
    run(cluster, "kubectl", ["apply", "-f", "-"], JSON.stringify(policy)).catch(() => undefined);
  });
  return watch;
}

async function layerOf(files: Record<string, string>): Promise<Buffer> {
  const pack = tar.pack();
  for (const name of ["function", "function/code"]) pack.entry({ name, type: "directory", mode: 0o755 });
  for (const [name, text] of Object.entries(files)) pack.entry({ name: `function/code/${name}`, mode: 0o644 }, text);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
