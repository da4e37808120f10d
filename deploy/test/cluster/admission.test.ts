// The chart's admission policies on the real API server: what the platform makes passes, and every rule refuses its own mutation.
import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newInstanceId } from "@fnctl/control-plane/ids/uuid7";
import type { SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { instancePod } from "@fnctl/control-plane/sandbox/kubernetes/objects/pod";
import { DEFAULT_QUOTA, namespace, tenantObjects, type WireObject } from "@fnctl/control-plane/sandbox/kubernetes/objects/tenant";
import { createInstanceCertificate } from "@fnctl/control-plane/sandbox/kubernetes/certificate";
import { until } from "../e2e/until.ts";
import { podMutations } from "./admission-mutations.ts";
import { CHART, chart } from "./chart.ts";
import { create, deleteNamespaces, kubectl, refusal } from "./kubectl.ts";

const RELEASE = `adm${randomBytes(2).toString("hex")}`;
const PREFIX = `${RELEASE}-t`;
/** Begins like a tenant's, as with the chart's defaults, and is none. */
const SYSTEM = `${PREFIX}-system`;
const IMAGES = "registry.example.com/fnctl";
const CONTROL_PLANE = `system:serviceaccount:${SYSTEM}:${RELEASE}-control-plane`;
const platform = { uid: randomUUID(), namespace: SYSTEM, prefix: PREFIX };
const input = (tenantId: string, floor: "gvisor" | "kata") => ({
  platform,
  tenantId,
  floor,
  podSecurity: "v1.34",
  quota: DEFAULT_QUOTA,
  controlPlaneAccount: `${RELEASE}-control-plane`,
  tenantRole: `${RELEASE}-tenant`,
});
const STANDARD = randomUUID();
const ELEVATED = randomUUID();
const BARE = randomUUID();
const EPOCH = 7;
const RULES = podMutations({ images: IMAGES, otherTenant: STANDARD, epoch: EPOCH });
let pair: { key: string; certificate: string };
let rendered: string;

const pod = (tenantId: string, overrides: Omit<Partial<SandboxSpec>, "tenantId"> = {}): WireObject =>
  instancePod({
    platform,
    spec: {
      id: newInstanceId(),
      kind: "function",
      base: `sha256:${"a".repeat(64)}`,
      isolation: "gvisor",
      memoryMib: 256,
      egress: false,
      epoch: EPOCH,
      tenantId,
      codeMib: 16,
      ...overrides,
    },
    image: `${IMAGES}/base@sha256:${"a".repeat(64)}`,
    egress: overrides.egress === true ? "http://x:y@10.0.0.1:3128" : undefined,
    enters: overrides.memoryMib !== 2048, // with volumes, too
    ...pair,
  });

/** Without Pod Security, quota and defaults, so that the policy alone is what refuses. */
const left = (tenantId: string): string[] => (tenantId === BARE ? ["RoleBinding", "LimitRange", "ResourceQuota"] : ["RoleBinding"]);
const bare = (): WireObject => {
  const object = namespace(input(BARE, "gvisor"));
  const labels = Object.fromEntries(Object.entries(object.metadata.labels).filter(([key]) => !key.startsWith("pod-security")));
  return { ...object, metadata: { ...object.metadata, labels } };
};
const inSystem = (kind: string, name: string, more: object = {}) => ({
  apiVersion: "v1",
  kind,
  metadata: { name, namespace: SYSTEM },
  ...more,
});

beforeAll(async () => {
  pair = await createInstanceCertificate("0123456789abcdef0123", 3_600_000);
  await kubectl(["create", "namespace", SYSTEM]);
  for (const object of [namespace(input(STANDARD, "gvisor")), namespace(input(ELEVATED, "kata")), bare()]) await create(object);
  for (const [tenantId, floor] of [
    [STANDARD, "gvisor"],
    [ELEVATED, "kata"],
    [BARE, "gvisor"],
  ] as const)
    for (const object of tenantObjects(input(tenantId, floor)).filter(({ kind }) => !left(tenantId).includes(kind))) await create(object);
  rendered = await chart(
    ["templates/admission.yaml", "templates/runtime-classes.yaml"],
    { "tenants.prefix": PREFIX, "image.prefix": IMAGES },
    RELEASE,
    SYSTEM,
  );
  await kubectl(["apply", "-f", `${CHART}/crds`]);
  await kubectl(["wait", "--for=condition=Established", "crd/epochs.fnctl.dev", "--timeout=20s"]);
  await kubectl(["apply", "-f", "-"], rendered);
  await create({ apiVersion: "fnctl.dev/v1", kind: "Epoch", metadata: { name: RELEASE, namespace: SYSTEM }, spec: { epoch: EPOCH } });
  // A policy is not in force at once.
  const bad = { ...pod(BARE), spec: { ...(pod(BARE)["spec"] as object), runtimeClassName: null } };
  await until(
    () => refusal(bad),
    (text) => text?.includes("fnctl A2") === true,
    30_000,
  );
  await until(
    () => refusal(pod(BARE)),
    (text) => text === undefined,
    30_000,
  );
});
afterAll(async () => {
  await kubectl(["delete", "-f", "-", "--ignore-not-found"], rendered);
  await deleteNamespaces(SYSTEM, ...[STANDARD, ELEVATED, BARE].map((id) => `${PREFIX}-${id}`));
});

describe("what the platform makes", () => {
  test.each<[string, () => WireObject]>([
    ["a function's pod", () => pod(STANDARD)],
    ["the largest one, which may go out", () => pod(STANDARD, { memoryMib: 2048, codeMib: 576, egress: true })],
    ["a builder's", () => pod(STANDARD, { kind: "builder", memoryMib: 2048, egress: true })],
    ["a pod in Kata", () => pod(STANDARD, { isolation: "kata" })],
    ["a pod in Kata of a tenant who has no other", () => pod(ELEVATED, { isolation: "kata" })],
    ["a pod of a newer owner", () => pod(STANDARD, { epoch: EPOCH + 1 })],
  ])("%s is taken, under Pod Security `restricted` too", async (_what, make) => {
    expect(await refusal(make())).toBeUndefined();
  });
});

describe("a pod with one thing changed is refused by the rule for it", () => {
  test.each(RULES)("%s: %s", async (_what, message, change) => {
    const object = structuredClone(pod(BARE)) as any;
    change(object.spec, object.spec.containers[0], object.metadata);
    expect(await refusal(object)).toMatch(message);
  });

  test("gVisor for a tenant who is to have Kata", async () => {
    expect(await refusal(pod(ELEVATED))).toMatch(/fnctl A2: this tenant's pods run in kata/);
  });

  test("and a limit range stands behind it", async () => {
    const object = structuredClone(pod(STANDARD)) as any;
    object.spec.containers[0].resources.requests.memory = "1Mi";
    expect(await refusal(object)).toMatch(/memory max limit to request ratio/);
  });

  test("and Pod Security stands behind it", async () => {
    const object = structuredClone(pod(STANDARD)) as any;
    object.spec.hostNetwork = true;
    expect(await refusal(object)).toMatch(/violates PodSecurity "restricted:v1\.34"/);
  });
});

describe("a pod that is there", () => {
  const name = () => `pod/${(there as any).metadata.name}`;
  let there: WireObject;
  const patch = (type: string, body: object, ...more: string[]) =>
    kubectl(["patch", name(), "-n", `${PREFIX}-${BARE}`, `--type=${type}`, "-p", JSON.stringify(body), ...more]);
  beforeAll(async () => {
    there = pod(BARE, { isolation: "kata" }); // no node takes it: it stays as it is
    await create(there);
  });

  test("is given its image once, and never another", async () => {
    const claim = (image: string | null) => ({ metadata: { annotations: { "fnctl.dev/image": image } } });
    await patch("merge", claim('{"a":1}'));
    await patch("merge", claim('{"a":1}'));
    await expect(patch("merge", claim('{"a":2}'))).rejects.toThrow(/fnctl C5/);
    await expect(patch("merge", claim(null))).rejects.toThrow(/fnctl C5/);
  });
  test("keeps its labels, its origin and its image", async () => {
    await expect(patch("merge", { metadata: { labels: { "fnctl.dev/egress": "true" } } })).rejects.toThrow(/fnctl A12/);
    await expect(patch("merge", { metadata: { annotations: { "fnctl.dev/spec": "{}" } } })).rejects.toThrow(/fnctl C5/);
    await expect(patch("json", [{ op: "replace", path: "/spec/containers/0/image", value: "x" }])).rejects.toThrow(/fnctl A15/);
  });
  test("gets no ephemeral container", async () => {
    const body = { spec: { ephemeralContainers: [{ name: "debug", image: "busybox" }] } };
    await expect(patch("strategic", body, "--subresource=ephemeralcontainers")).rejects.toThrow(/fnctl C1/);
  });
});

describe("a tenant's namespace holds nothing else", () => {
  const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "x" }], restartPolicy: "Never" } };
  const selector = { matchLabels: { a: "b" } };
  const meta = { name: "x", namespace: `${PREFIX}-${BARE}` };
  test.each([
    ["Deployment", "apps/v1", { spec: { selector, template: { ...template, spec: { ...template.spec, restartPolicy: "Always" } } } }],
    ["Job", "batch/v1", { spec: { template } }],
    ["Service", "v1", { spec: { ports: [{ port: 1 }] } }],
    ["Secret", "v1", { data: {} }],
    ["PodTemplate", "v1", { template }],
  ])("no %s", async (kind, apiVersion, rest) => {
    expect(await refusal({ apiVersion, kind, metadata: meta, ...rest })).toMatch(/fnctl C1/);
  });
});

test("a pod in the platform's own namespace is judged by nobody here, though its name begins like a tenant's", async () => {
  const own = inSystem("Pod", "own", { spec: { containers: [{ name: "own", image: "registry.example.com/own" }] } });
  await kubectl(["wait", "--for=create", "serviceaccount/default", "-n", SYSTEM, "--timeout=20s"]);
  expect(await refusal(own)).toBeUndefined();
});

describe("the control plane", () => {
  const role = `${RELEASE}-adm`;
  const asControlPlane = (object: object, ...more: string[]) =>
    kubectl(["create", "--dry-run=server", `--as=${CONTROL_PLANE}`, "-f", "-", ...more], JSON.stringify(object)).then(
      () => undefined,
      (error: Error) => error.message,
    );
  // With more rights than the chart gives: the policy holds by itself.
  beforeAll(() => kubectl(["create", "clusterrolebinding", role, "--clusterrole=cluster-admin", `--user=${CONTROL_PLANE}`]));
  afterAll(() => kubectl(["delete", "clusterrolebinding", role]));

  test("makes its tenants' namespaces, and no others", async () => {
    const good = namespace(input(randomUUID(), "gvisor"));
    expect(await asControlPlane(good)).toBeUndefined();
    const named = (name: string, labels = good.metadata.labels) => ({ ...good, metadata: { ...good.metadata, name, labels } });
    expect(await asControlPlane(named("kube-extra"))).toMatch(/fnctl C3/);
    expect(await asControlPlane(named(`${PREFIX}-x`))).toMatch(/fnctl C3/); // no tenant's id
    expect(await asControlPlane(named(`${PREFIX}-${randomUUID()}`, {}))).toMatch(/fnctl C3/);
    const weak = { ...good.metadata.labels, "pod-security.kubernetes.io/enforce": "privileged" };
    expect(await asControlPlane(named(`${PREFIX}-${randomUUID()}`, weak))).toMatch(/fnctl A1/);
  });
  test("removes no namespace that is not a tenant's, and lowers no isolation", async () => {
    const gone = kubectl(["delete", "namespace", "kube-node-lease", "--dry-run=server", `--as=${CONTROL_PLANE}`]);
    await expect(gone).rejects.toThrow(/fnctl C3/);
    const lower = ["label", "namespace", `${PREFIX}-${ELEVATED}`, "fnctl.dev/isolation-floor=gvisor", "--overwrite", "--dry-run=server"];
    await expect(kubectl([...lower, `--as=${CONTROL_PLANE}`])).rejects.toThrow(/fnctl A2/);
  });
  test("writes in tenants' namespaces only", async () => {
    expect(await asControlPlane(pod(STANDARD))).toBeUndefined();
    const elsewhere = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "kube-system" } };
    expect(await asControlPlane(elsewhere)).toMatch(/fnctl C3/);
    expect(await asControlPlane(inSystem("ConfigMap", "x"))).toMatch(/fnctl C3/);
  });
  test("gives its tenant role to itself, and nothing to anybody else", async () => {
    const binding = tenantObjects(input(STANDARD, "gvisor")).find(({ kind }) => kind === "RoleBinding") as any;
    expect(await asControlPlane(binding)).toBeUndefined();
    expect(await asControlPlane({ ...binding, roleRef: { ...binding.roleRef, name: "cluster-admin" } })).toMatch(/fnctl C2/);
    const other = { ...binding, subjects: [{ kind: "ServiceAccount", name: "function", namespace: `${PREFIX}-${STANDARD}` }] };
    expect(await asControlPlane(other)).toMatch(/fnctl C2/);
  });
  test("moves the epoch forward only; without an epoch nothing starts", async () => {
    const patch = (epoch: number) => ["patch", "epoch", RELEASE, "-n", SYSTEM, "--type=merge", "-p", JSON.stringify({ spec: { epoch } })];
    const set = (epoch: number) => kubectl([...patch(epoch), `--as=${CONTROL_PLANE}`]);
    await set(EPOCH + 1);
    await expect(set(EPOCH)).rejects.toThrow(/an epoch never goes back/);
    await until(
      () => refusal(pod(BARE)),
      (text) => text?.includes("the pod's epoch") === true,
      20_000,
    );
    expect(await refusal(pod(BARE, { epoch: EPOCH + 1 }))).toBeUndefined();
    const remove = ["delete", "epoch", RELEASE, "-n", SYSTEM];
    await expect(kubectl([...remove, `--as=${CONTROL_PLANE}`])).rejects.toThrow(/never removed/);
    await kubectl(remove);
    await until(
      () => refusal(pod(BARE, { epoch: 99 })),
      (text) => /no params found|fnctl-?.*epoch/i.test(text ?? ""),
      20_000,
    );
  });
});
