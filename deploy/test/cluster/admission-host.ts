// The chart's admission policies in force on the real cluster, with namespaces that they apply to; for the tests of their rules.
import { randomBytes, randomUUID } from "node:crypto";
import { newInstanceId } from "@fnctl/control-plane/service/uuid7";
import type { SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { createInstanceCertificate } from "@fnctl/control-plane/sandbox/kubernetes/certificate";
import { instancePod } from "@fnctl/control-plane/sandbox/kubernetes/objects/pod";
import { DEFAULT_QUOTA, namespace, tenantObjects, type TenantInput } from "@fnctl/control-plane/sandbox/kubernetes/objects/tenant";
import type { WireObject } from "@fnctl/control-plane/cluster/wire";
import { until } from "../e2e/until.ts";
import { CHART, chart } from "./chart.ts";
import { create, deleteNamespaces, kubectl, refusal } from "./kubectl.ts";

export const IMAGES = "registry.example.com/fnctl";
export const EPOCH = 7;

export interface AdmissionHost {
  release: string;
  prefix: string;
  /** The platform's own namespace. Its name begins like a tenant's, as with the chart's defaults, but it is not a tenant's. */
  system: string;
  /** User name of the control plane. */
  controlPlane: string;
  /** Ids of tenants. The namespace of `bare` has no Pod Security, quota or defaults, so that only the policy refuses. */
  standard: string;
  elevated: string;
  bare: string;
  input(tenantId: string, floor: "gvisor" | "kata"): TenantInput;
  pod(tenantId: string, overrides?: Omit<Partial<SandboxSpec>, "tenantId">): WireObject;
  inSystem(kind: string, name: string, more?: object): object;
  namespaceOf(tenantId: string): string;
  /** Gives the control plane every right, so that only the policy can refuse. */
  empowerControlPlane(): Promise<void>;
  close(): Promise<void>;
}

export async function createAdmissionHost(): Promise<AdmissionHost> {
  const release = `adm${randomBytes(2).toString("hex")}`;
  const prefix = `${release}-t`;
  const system = `${prefix}-system`;
  const [standard, elevated, bare] = [randomUUID(), randomUUID(), randomUUID()];
  const platform = { uid: randomUUID(), namespace: system, prefix };
  const pair = await createInstanceCertificate("0123456789abcdef0123", 3_600_000);
  const controlPlane = `system:serviceaccount:${system}:${release}-control-plane`;
  const role = `${release}-adm`;
  let rendered = "";
  const host: AdmissionHost = {
    release,
    prefix,
    system,
    controlPlane,
    standard,
    elevated,
    bare,
    input: (tenantId, floor) => ({
      platform,
      tenantId,
      floor,
      podSecurity: "v1.34",
      quota: DEFAULT_QUOTA,
      controlPlaneAccount: `${release}-control-plane`,
      tenantRole: `${release}-tenant`,
    }),
    pod: (tenantId, overrides = {}) =>
      instancePod({
        platform,
        spec: { ...SPEC, id: newInstanceId(), tenantId, ...overrides },
        image: `${IMAGES}/base@sha256:${"a".repeat(64)}`,
        egress: overrides.egress === true ? "http://x:y@10.0.0.1:3128" : undefined,
        enters: overrides.memoryMib === 2048 ? "not" : "fully", // makes pods with volumes too
        ...pair,
      }),
    inSystem: (kind, name, more = {}) => ({ apiVersion: "v1", kind, metadata: { name, namespace: system }, ...more }),
    namespaceOf: (tenantId) => `${prefix}-${tenantId}`,
    empowerControlPlane: async () =>
      void (await kubectl(["create", "clusterrolebinding", role, "--clusterrole=cluster-admin", `--user=${controlPlane}`])),
    async close() {
      await kubectl(["delete", "clusterrolebinding", role, "--ignore-not-found"]);
      await kubectl(["delete", "-f", "-", "--ignore-not-found"], rendered);
      await deleteNamespaces(system, ...[standard, elevated, bare].map(host.namespaceOf));
    },
  };
  await makeNamespaces(host);
  rendered = await installPolicies(host);
  return host;
}

const SPEC = {
  kind: "function",
  base: `sha256:${"a".repeat(64)}`,
  isolation: "gvisor",
  memoryMib: 256,
  egress: false,
  epoch: EPOCH,
  codeMib: 16,
} as const;

async function makeNamespaces(host: AdmissionHost): Promise<void> {
  await kubectl(["create", "namespace", host.system]);
  for (const [tenantId, floor] of [
    [host.standard, "gvisor"],
    [host.elevated, "kata"],
    [host.bare, "gvisor"],
  ] as const) {
    const input = host.input(tenantId, floor);
    const bare = tenantId === host.bare;
    await create(bare ? withoutPodSecurity(namespace(input)) : namespace(input));
    const left = bare ? ["RoleBinding", "LimitRange", "ResourceQuota"] : ["RoleBinding"];
    for (const object of tenantObjects(input).filter(({ kind }) => !left.includes(kind))) await create(object);
  }
}

function withoutPodSecurity(object: WireObject): WireObject {
  const labels = Object.fromEntries(Object.entries(object.metadata.labels).filter(([key]) => !key.startsWith("pod-security")));
  return { ...object, metadata: { ...object.metadata, labels } };
}

async function installPolicies({ release, prefix, system, bare, pod }: AdmissionHost): Promise<string> {
  const templates = ["templates/admission.yaml", "templates/runtime-classes.yaml"];
  const rendered = await chart(templates, { "tenants.prefix": prefix, "image.prefix": IMAGES }, release, system);
  await kubectl(["apply", "-f", `${CHART}/crds`]);
  await kubectl(["wait", "--for=condition=Established", "crd/epochs.fnctl.dev", "--timeout=20s"]);
  await kubectl(["apply", "-f", "-"], rendered);
  await create({ apiVersion: "fnctl.dev/v1", kind: "Epoch", metadata: { name: release, namespace: system }, spec: { epoch: EPOCH } });
  // A new policy is not in force at once.
  const bad = { ...pod(bare), spec: { ...(pod(bare)["spec"] as object), runtimeClassName: null } };
  await until(
    () => refusal(bad),
    (text) => text?.includes("fnctl A2") === true,
    30_000,
  );
  await until(
    () => refusal(pod(bare)),
    (text) => text === undefined,
    30_000,
  );
  return rendered;
}
