// The chart's admission policies on the real API server: objects that the platform makes pass, and every rule refuses the change that
// breaks it.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { namespace, tenantObjects } from "@fnctl/control-plane/sandbox/kubernetes/objects/tenant";
import type { WireObject } from "@fnctl/control-plane/cluster/wire";
import { until } from "../e2e/until.ts";
import { EPOCH, IMAGES, createAdmissionHost, type AdmissionHost } from "./admission-host.ts";
import { podMutations } from "./admission-mutations.ts";
import { create, kubectl, refusal } from "./kubectl.ts";

const OTHER_TENANT = randomUUID();
let host: AdmissionHost;
const pod: AdmissionHost["pod"] = (...given) => host.pod(...given);
const input: AdmissionHost["input"] = (...given) => host.input(...given);
beforeAll(async () => void (host = await createAdmissionHost()));
afterAll(() => (host as AdmissionHost | undefined)?.close()); // undefined if it did not start

describe("what the platform makes", () => {
  test.each<[string, () => WireObject]>([
    ["a function's pod", () => pod(host.standard)],
    ["the largest one, which may go out", () => pod(host.standard, { memoryMib: 2048, codeMib: 576, egress: true })],
    ["a builder's", () => pod(host.standard, { kind: "builder", memoryMib: 2048, egress: true })],
    ["a pod in Kata", () => pod(host.standard, { isolation: "kata" })],
    ["a pod in Kata of a tenant who has no other", () => pod(host.elevated, { isolation: "kata" })],
    ["a pod of a newer owner", () => pod(host.standard, { epoch: EPOCH + 1 })],
  ])("%s is taken, under Pod Security `restricted` too", async (_what, make) => {
    expect(await refusal(make())).toBeUndefined();
  });
});

describe("a pod with one thing changed is refused by the rule for it", () => {
  test.each(podMutations({ images: IMAGES, otherTenant: OTHER_TENANT, epoch: EPOCH }))("%s: %s", async (_what, message, change) => {
    const object = structuredClone(pod(host.bare)) as any;
    change(object.spec, object.spec.containers[0], object.metadata);
    expect(await refusal(object)).toMatch(message);
  });

  test("gVisor for a tenant who is to have Kata", async () => {
    expect(await refusal(pod(host.elevated))).toMatch(/fnctl A2: this tenant's pods run in kata/);
  });

  test("and a limit range stands behind it", async () => {
    const object = structuredClone(pod(host.standard)) as any;
    object.spec.containers[0].resources.requests.memory = "1Mi";
    expect(await refusal(object)).toMatch(/memory max limit to request ratio/);
  });

  test("and Pod Security stands behind it", async () => {
    const object = structuredClone(pod(host.standard)) as any;
    object.spec.hostNetwork = true;
    expect(await refusal(object)).toMatch(/violates PodSecurity "restricted:v1\.34"/);
  });
});

describe("a pod that is there", () => {
  const name = () => `pod/${(there as any).metadata.name}`;
  let there: WireObject;
  const patch = (type: string, body: object, ...more: string[]) =>
    kubectl(["patch", name(), "-n", host.namespaceOf(host.bare), `--type=${type}`, "-p", JSON.stringify(body), ...more]);
  beforeAll(async () => {
    there = pod(host.bare, { isolation: "kata" }); // no node takes this pod, so it stays pending
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
});

describe("a tenant's namespace holds nothing else", () => {
  const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "x" }], restartPolicy: "Never" } };
  const selector = { matchLabels: { a: "b" } };
  const meta = () => ({ name: "x", namespace: host.namespaceOf(host.bare) });
  test.each([
    ["Deployment", "apps/v1", { spec: { selector, template: { ...template, spec: { ...template.spec, restartPolicy: "Always" } } } }],
    ["Job", "batch/v1", { spec: { template } }],
    ["Service", "v1", { spec: { ports: [{ port: 1 }] } }],
    ["Secret", "v1", { data: {} }],
    ["PodTemplate", "v1", { template }],
  ])("no %s", async (kind, apiVersion, rest) => {
    expect(await refusal({ apiVersion, kind, metadata: meta(), ...rest })).toMatch(/fnctl C1/);
  });
});

test("a pod in the platform's own namespace is judged by nobody here, though its name begins like a tenant's", async () => {
  const own = host.inSystem("Pod", "own", { spec: { containers: [{ name: "own", image: "registry.example.com/own" }] } });
  await kubectl(["wait", "--for=create", "serviceaccount/default", "-n", host.system, "--timeout=20s"]);
  expect(await refusal(own)).toBeUndefined();
});

describe("the control plane", () => {
  const asControlPlane = (object: object, ...more: string[]) =>
    kubectl(["create", "--dry-run=server", `--as=${host.controlPlane}`, "-f", "-", ...more], JSON.stringify(object)).then(
      () => undefined,
      (error: Error) => error.message,
    );
  // The control plane gets more rights than the chart gives, to show that the policy works by itself.
  beforeAll(() => host.empowerControlPlane());

  test("makes its tenants' namespaces, and no others", async () => {
    const good = namespace(input(randomUUID(), "gvisor"));
    expect(await asControlPlane(good)).toBeUndefined();
    const named = (name: string, labels = good.metadata.labels) => ({ ...good, metadata: { ...good.metadata, name, labels } });
    expect(await asControlPlane(named("kube-extra"))).toMatch(/fnctl C3/);
    expect(await asControlPlane(named(`${host.prefix}-x`))).toMatch(/fnctl C3/); // "x" is not a tenant's id
    expect(await asControlPlane(named(`${host.prefix}-${randomUUID()}`, {}))).toMatch(/fnctl C3/);
    const weak = { ...good.metadata.labels, "pod-security.kubernetes.io/enforce": "privileged" };
    expect(await asControlPlane(named(`${host.prefix}-${randomUUID()}`, weak))).toMatch(/fnctl A1/);
  });
  test("removes no namespace that is not a tenant's, and lowers no isolation", async () => {
    const gone = kubectl(["delete", "namespace", "kube-node-lease", "--dry-run=server", `--as=${host.controlPlane}`]);
    await expect(gone).rejects.toThrow(/fnctl C3/);
    const lower = [
      "label",
      "namespace",
      host.namespaceOf(host.elevated),
      "fnctl.dev/isolation-floor=gvisor",
      "--overwrite",
      "--dry-run=server",
    ];
    await expect(kubectl([...lower, `--as=${host.controlPlane}`])).rejects.toThrow(/fnctl A2/);
  });
  test("writes in tenants' namespaces only", async () => {
    expect(await asControlPlane(pod(host.standard))).toBeUndefined();
    const elsewhere = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "kube-system" } };
    expect(await asControlPlane(elsewhere)).toMatch(/fnctl C3/);
    expect(await asControlPlane(host.inSystem("ConfigMap", "x"))).toMatch(/fnctl C3/);
  });
  test("gives its tenant role to itself, and nothing to anybody else", async () => {
    const binding = tenantObjects(input(host.standard, "gvisor")).find(({ kind }) => kind === "RoleBinding") as any;
    expect(await asControlPlane(binding)).toBeUndefined();
    expect(await asControlPlane({ ...binding, roleRef: { ...binding.roleRef, name: "cluster-admin" } })).toMatch(/fnctl C2/);
    const other = { ...binding, subjects: [{ kind: "ServiceAccount", name: "function", namespace: host.namespaceOf(host.standard) }] };
    expect(await asControlPlane(other)).toMatch(/fnctl C2/);
  });
  test("moves the epoch forward only; without an epoch nothing starts", async () => {
    const patch = (epoch: number) => [
      "patch",
      "epoch",
      host.release,
      "-n",
      host.system,
      "--type=merge",
      "-p",
      JSON.stringify({ spec: { epoch } }),
    ];
    const set = (epoch: number) => kubectl([...patch(epoch), `--as=${host.controlPlane}`]);
    await set(EPOCH + 1);
    await expect(set(EPOCH)).rejects.toThrow(/an epoch never goes back/);
    await until(
      () => refusal(pod(host.bare)),
      (text) => text?.includes("the pod's epoch") === true,
      20_000,
    );
    expect(await refusal(pod(host.bare, { epoch: EPOCH + 1 }))).toBeUndefined();
    const remove = ["delete", "epoch", host.release, "-n", host.system];
    await expect(kubectl([...remove, `--as=${host.controlPlane}`])).rejects.toThrow(/never removed/);
    await kubectl(remove);
    await until(
      () => refusal(pod(host.bare, { epoch: 99 })),
      (text) => /no params found|fnctl-?.*epoch/i.test(text ?? ""),
      20_000,
    );
  });
});
