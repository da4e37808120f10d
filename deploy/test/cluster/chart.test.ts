// Tests the chart's text: lint, the rendered objects, the values it refuses, and the rights it gives.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { CHART, REQUIRED, chart, settings } from "./chart.ts";
import { create, deleteNamespaces, helm, kubectl } from "./kubectl.ts";

async function golden(name: string, text: string): Promise<void> {
  const file = path.join(import.meta.dirname, "golden", name);
  if (process.env["FNCTL_UPDATE"] === "1") {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  expect(text, `${name} differs from its golden file; FNCTL_UPDATE=1 writes it anew`).toBe(await readFile(file, "utf8"));
}
/** The operator's own secrets are set, so that nothing in the rendered text is random. */
const OWN_SECRETS = {
  "secrets.internal": "own-internal",
  "secrets.tls": "own-tls",
  "secrets.logAgent": "own-log-agent",
  "secrets.databaseRoles": "own-roles",
};

test("lints", async () => {
  expect(await helm(["lint", CHART, "--strict", ...settings(REQUIRED)])).toContain("0 chart(s) failed");
});

test("renders what its golden file shows", async () => {
  await golden("chart.yaml", await chart([], OWN_SECRETS, "fnctl", "fnctl-system"));
});

test.each<[string, Record<string, string>, string]>([
  ["QEMU", {}, "320Mi"],
  ["Cloud Hypervisor", { "runtimeClasses.kata.hypervisor": "cloud-hypervisor" }, "130Mi"],
  ["as measured", { "runtimeClasses.kata.overhead.cpu": "100m", "runtimeClasses.kata.overhead.memory": "200Mi" }, "200Mi"],
])("a pod in Kata brings along what its hypervisor costs: %s", async (_what, set, memory) => {
  const classes = await chart(["templates/runtime-classes.yaml"], { ...OWN_SECRETS, ...set });
  const kata = classes.split("---").find((one) => /^ {2}name: kata$/m.test(one)) ?? "";
  expect(/^ {4}memory: (\S+)$/m.exec(kata)?.[1]).toBe(memory);
});

test("gives the control plane what a tenant may have, whole numbers as such", async () => {
  const rendered = await chart(["templates/control-plane.yaml"], { ...OWN_SECRETS, "tenants.caps.sourceBytes": "10737418240" });
  expect(rendered).toContain(String.raw`FNCTL_TENANT_CAPS, value: "{\"sourceBytes\":10737418240}"`);
});

describe("refuses values that mean something else than was meant", () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ["no image", { "image.prefix": "" }, /image\.prefix/],
    ["a tag for a digest", { "image.digest": "latest" }, /digest/],
    ["a setting that it does not know", { "gateway.replica": "3" }, /replica/],
    ["a long prefix of namespaces", { "tenants.prefix": "a-prefix-of-21-letters" }, /prefix/],
    ["an unknown TLS mode", { "database.sslmode": "prefer" }, /sslmode/],
    ["a path in the public address", { publicUrl: "https://example.com/path" }, /publicUrl/],
    ["no gateways", { "gateway.replicas": "0" }, /replicas/],
    ["an unknown hypervisor", { "runtimeClasses.kata.hypervisor": "firecracker" }, /hypervisor/],
    ["a cap that there is not", { "tenants.caps.instance": "50" }, /caps/],
    ["a cap of nothing", { "tenants.caps.instances": "0" }, /instances/],
    ["no builders", { "build.slots": "0" }, /slots/],
    ["a cap of a day that there is not", { "egress.dayCaps.bytes": "1" }, /bytes/],
    ["half an overhead", { "runtimeClasses.kata.overhead.memory": "200Mi" }, /overhead/],
  ])("%s", async (_what, set, message) => {
    await expect(chart([], { ...OWN_SECRETS, ...set })).rejects.toThrow(message);
  });
});

describe("the control plane's rights", () => {
  const RELEASE = "rights";
  const [SYSTEM, TENANT] = ["rights-system", "rights-tenant"];
  const account = `system:serviceaccount:${SYSTEM}:${RELEASE}-control-plane`;
  let rendered: string;
  beforeAll(async () => {
    rendered = await chart(["templates/rbac.yaml"], {}, RELEASE, SYSTEM);
    for (const name of [SYSTEM, TENANT]) await kubectl(["create", "namespace", name]);
    await kubectl(["apply", "-n", SYSTEM, "-f", "-"], rendered);
    await create({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "fnctl-control-plane", namespace: TENANT },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `${RELEASE}-tenant` },
      subjects: [{ kind: "ServiceAccount", name: `${RELEASE}-control-plane`, namespace: SYSTEM }],
    });
  });
  afterAll(async () => {
    await kubectl(["delete", "-n", SYSTEM, "-f", "-", "--ignore-not-found"], rendered);
    await deleteNamespaces(SYSTEM, TENANT);
  });

  /** The rights of every authenticated user depend on the cluster's version, which is pinned only in the suite's own cluster. */
  test.skipIf(inject("footprintBefore") === null)("are those of the golden file, in each kind of namespace", async () => {
    const list = async (namespace: string) => {
      const text = await kubectl(["auth", "can-i", "--list", `--as=${account}`, "-n", namespace]);
      const lines = text
        .trim()
        .split("\n")
        .slice(1)
        .map((line) => line.trimEnd().replaceAll(/ {2,}/g, "  "));
      return `# ${namespace}\n${lines.toSorted().join("\n")}\n`;
    };
    await golden("rights.txt", `${await list("default")}\n${await list(SYSTEM)}\n${await list(TENANT)}`);
  });

  test.each([
    ["read secrets anywhere", ["list", "secrets", "-A"]],
    ["read a tenant's secrets", ["get", "secrets", "-n", TENANT]],
    ["run programs in pods", ["create", "pods", "--subresource=exec", "-n", TENANT]],
    ["attach to pods", ["create", "pods", "--subresource=attach", "-n", TENANT]],
    ["forward ports", ["create", "pods", "--subresource=portforward", "-n", TENANT]],
    ["reach through nodes", ["get", "nodes", "--subresource=proxy"]],
    ["take another's place", ["impersonate", "users"]],
    ["make tokens of accounts", ["create", "serviceaccounts", "--subresource=token", "-n", TENANT]],
    ["raise its own rights", ["escalate", "clusterroles"]],
    ["bind another role", ["bind", "clusterroles/cluster-admin"]],
    ["change admission policies", ["update", "validatingadmissionpolicies"]],
    ["change runtime classes", ["update", "runtimeclasses"]],
    ["change roles", ["update", "clusterroles"]],
    ["see pods outside its tenants", ["list", "pods", "-n", "kube-system"]],
    ["start pods outside its tenants", ["create", "pods", "-n", "default"]],
  ])("it may not %s", async (_what, question) => {
    // `can-i` ends with 1 for "no", and says "no" or only a warning on its error stream.
    const answer = await kubectl(["auth", "can-i", ...question, `--as=${account}`]).then(
      () => "yes",
      (error: Error) => error.message.split(": 1: ")[1]?.trim() ?? error.message,
    );
    expect(answer).toMatch(/^(no|Warning: [^\n]+)$/);
  });
});
