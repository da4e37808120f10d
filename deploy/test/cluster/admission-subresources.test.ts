// Subresources (`pods/exec`, `serviceaccounts/token`) are judged like the resource itself, although a rule for `pods` does not match them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WireObject } from "@fnctl/control-plane/cluster/wire";
import { createAdmissionHost, type AdmissionHost } from "./admission-host.ts";
import { create, kubectl } from "./kubectl.ts";

let host: AdmissionHost;
/** A pod that no node takes, so that it stays pending. */
let theirs: WireObject;
const OWN = "own";
beforeAll(async () => {
  host = await createAdmissionHost();
  await host.empowerControlPlane();
  theirs = host.pod(host.bare, { isolation: "kata" });
  await kubectl(["wait", "--for=create", "serviceaccount/default", "-n", host.system, "--timeout=20s"]);
  const spec = { nodeSelector: { nowhere: "at-all" }, containers: [{ name: "c", image: "registry.example.com/own" }] };
  const template = { metadata: { labels: { own: OWN } }, spec };
  const deployment = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: OWN, namespace: host.system } };
  await create(theirs, host.inSystem("Pod", OWN, { spec }), host.inSystem("Service", OWN, { spec: { ports: [{ port: 80 }] } }), {
    ...deployment,
    spec: { replicas: 0, selector: { matchLabels: { own: OWN } }, template },
  });
});
afterAll(() => (host as AdmissionHost | undefined)?.close()); // undefined if it did not start

interface Deed {
  /** CONNECT: a POST that is forwarded to another server, which has no dry run. */
  method: "POST" | "PUT" | "CONNECT";
  /** Path below `/api/v1/namespaces/…/`, or an absolute one. */
  path: string;
  /** Absent: the answer to a GET of the path is sent back. */
  body?: object;
}
const post = (path: string, body: object = {}): Deed => ({ method: "POST", path, body });
const put = (path: string): Deed => ({ method: "PUT", path });
const connect = (path: string): Deed => ({ method: "CONNECT", path, body: {} });
const onPod = (name: string): [string, Deed][] => [
  ["pods/exec", connect(`pods/${name}/exec?command=true`)],
  ["pods/attach", connect(`pods/${name}/attach?stdout=true`)],
  ["pods/portforward", connect(`pods/${name}/portforward?ports=80`)],
  ["pods/proxy", connect(`pods/${name}/proxy/`)],
  ["pods/eviction", post(`pods/${name}/eviction`, { apiVersion: "policy/v1", kind: "Eviction", metadata: { name } })],
  ["pods/binding", post(`pods/${name}/binding`, bindingOf(name))],
  ["pods/status", put(`pods/${name}/status`)],
  ["pods/resize", put(`pods/${name}/resize`)],
  ["pods/ephemeralcontainers", put(`pods/${name}/ephemeralcontainers`)],
];
const bindingOf = (name: string, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "Binding",
  metadata: { name, ...metadata },
  target: { apiVersion: "v1", kind: "Node", name: "nowhere" },
});
const token = (account: string): Deed =>
  post(`serviceaccounts/${account}/token`, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} });

/** The API server's refusal of the deed; undefined when it would do it. */
async function refused(namespace: string, { method, path, body }: Deed, as?: string): Promise<string | undefined> {
  const url = path.startsWith("/") ? path : `/api/v1/namespaces/${namespace}/${path}`;
  const user = as === undefined ? [] : [`--as=${as}`];
  const trial = method === "CONNECT" ? url : `${url}?dryRun=All`;
  const text = body === undefined ? await kubectl(["get", "--raw", url.replace(/\/finalize$/, "")]) : JSON.stringify(body);
  const verb = method === "PUT" ? "replace" : "create";
  return kubectl([verb, "--raw", trial, "-f", "-", ...user], text).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

describe("the control plane, though it had every right, uses nothing below a resource", () => {
  const FOREIGN: [string, Deed][] = [
    ...onPod(OWN),
    ["serviceaccounts/token", token("default")],
    ["services/proxy", connect(`services/${OWN}:80/proxy/`)],
  ];
  test.each(FOREIGN)("outside of its tenants' namespaces: %s", async (_what, deed) => {
    expect(await refused(host.system, deed, host.controlPlane)).toMatch(/fnctl C3/);
  });
  test.each(["scale", "status"])("outside of its tenants' namespaces: deployments/%s", async (below) => {
    const deed = put(`/apis/apps/v1/namespaces/${host.system}/deployments/${OWN}/${below}`);
    expect(await refused(host.system, deed, host.controlPlane)).toMatch(/fnctl C3/);
  });
  test.each(onPod("").map(([what], index) => [what, index] as const))("in a tenant's: %s", async (_what, index) => {
    const [, deed] = onPod(theirs.metadata.name)[index]!;
    // For some of these, two policies apply.
    expect(await refused(host.namespaceOf(host.bare), deed, host.controlPlane)).toMatch(/fnctl C[13]/);
  });
  test.each<[string, Deed]>([
    ["serviceaccounts/token", token("function")],
    ["resourcequotas/status", put("resourcequotas/fnctl-quota/status")],
  ])("in a tenant's: %s", async (_what, deed) => {
    expect(await refused(host.namespaceOf(host.standard), deed, host.controlPlane)).toMatch(/fnctl C[13]/);
  });
  test.each(["status", "finalize"])("namespaces/%s, of a tenant and of others", async (below) => {
    for (const name of [host.namespaceOf(host.standard), "kube-system"])
      expect(await refused("", put(`/api/v1/namespaces/${name}/${below}`), host.controlPlane)).toMatch(/fnctl C3/);
  });
  test("nor anything of the cluster's own but namespaces", async () => {
    const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "x" }, rules: [] };
    const made = kubectl(["create", "--dry-run=server", `--as=${host.controlPlane}`, "-f", "-"], JSON.stringify(role));
    await expect(made).rejects.toThrow(/fnctl C2/);
    const marked = kubectl(["label", "nodes", "--all", "a=b", "--dry-run=server", `--as=${host.controlPlane}`]);
    await expect(marked).rejects.toThrow(/fnctl C2/);
    // A review of rights is allowed, because it changes nothing.
    const asks = await kubectl(["auth", "can-i", "get", "pods", `--as=${host.controlPlane}`]);
    expect(asks).toContain("yes");
  });
});

describe("a tenant's pod, whoever comes", () => {
  const inTenants = (deed: Deed) => refused(host.namespaceOf(host.bare), deed);
  const changed = async (below: string, change: (pod: any) => void): Promise<Deed> => {
    const path = `pods/${theirs.metadata.name}/${below}`;
    const pod = JSON.parse(
      await kubectl(["get", "--raw", `/api/v1/namespaces/${host.namespaceOf(host.bare)}/pods/${theirs.metadata.name}`]),
    );
    change(pod);
    return { method: "PUT", path, body: pod };
  };
  test("is never resized, and gets no ephemeral container", async () => {
    const grow = await changed("resize", (pod) => {
      for (const part of ["requests", "limits"]) pod.spec.containers[0].resources[part].memory = "1Gi";
    });
    expect(await inTenants(grow)).toMatch(/fnctl C1/);
    const debug = await changed("ephemeralcontainers", (pod) => (pod.spec.ephemeralContainers = [{ name: "debug", image: "busybox" }]));
    expect(await inTenants(debug)).toMatch(/fnctl C1/);
  });
  test("is told its state by its node, and nothing else by that way", async () => {
    const told = (change: (pod: any) => void) => changed("status", change).then(inTenants);
    expect(await told((pod) => (pod.status.message = "as a kubelet says it"))).toBeUndefined();
    expect(await told((pod) => (pod.metadata.labels["fnctl.dev/egress"] = "true"))).toMatch(/fnctl A12/);
    expect(await told((pod) => delete pod.metadata.labels["fnctl.dev/tenant"])).toMatch(/fnctl A12/);
    expect(await told((pod) => (pod.metadata.annotations["dev.gvisor.flag.network"] = "host"))).toMatch(/fnctl A12/);
    expect(await told((pod) => (pod.metadata.annotations["fnctl.dev/spec"] = "{}"))).toMatch(/fnctl A12/);
    expect(await told((pod) => delete pod.metadata.annotations["fnctl.dev/spec"])).toMatch(/fnctl A12/);
    expect(await told((pod) => (pod.metadata.annotations["cni.projectcalico.org/podIP"] = "10.0.0.1"))).toBeUndefined();
  });
  test("is bound to a node by the scheduler, which gives it nothing along", async () => {
    const { name } = theirs.metadata;
    const bound = (metadata: object) => inTenants(post(`pods/${name}/binding`, bindingOf(name, metadata)));
    expect(await bound({})).toBeUndefined();
    expect(await bound({ annotations: { "io.katacontainers.config.hypervisor.path": "/x" } })).toMatch(/fnctl A12/);
    expect(await bound({ labels: { "fnctl.dev/egress": "true" } })).toMatch(/fnctl A12/);
    const older = post("bindings", bindingOf(name, { annotations: { "dev.gvisor.flag.network": "host" } }));
    expect(await inTenants(older)).toMatch(/fnctl A12/);
  });
  test("may be evicted, as when a node is emptied", async () => {
    expect(await inTenants(onPod(theirs.metadata.name)[4]![1])).toBeUndefined();
  });
  test("its account gets no token", async () => {
    expect(await inTenants(token("function"))).toMatch(/fnctl C1[^]*A3/);
  });
});
