// Checks what the rest of the suite relies on: pods really run in gVisor, and the network really enforces policies.
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { create, createNamespace, deleteNamespaces, exec, kubectl, waitReady } from "./kubectl.ts";
import { until } from "../e2e/until.ts";

const OPEN = "ground-open";
const CLOSED = "ground-closed";
const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const runtimeClass = { apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "ground-gvisor" }, handler: "runsc" };
const pod = (ns: string, name: string, command: string[]) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: ns, name },
  spec: {
    runtimeClassName: "ground-gvisor",
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [{ name: "c", image: inject("cluster").image, command }],
  },
});
const denyAll = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { namespace: CLOSED, name: "deny" },
  spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
};

const LISTEN = ["httpd", "-f", "-p", "8080"];
const addressOf = (ns: string, name: string) => kubectl(["get", "pod", "-n", ns, name, "-o", "jsonpath={.status.podIP}"]);
const reaches = (ns: string, name: string, address: string) =>
  exec(ns, name, "nc", "-w", "2", address, "8080").then(
    () => true,
    () => false,
  );

beforeAll(async () => {
  await create(runtimeClass);
  await Promise.all([OPEN, CLOSED].map((name) => createNamespace(namespace(name))));
  await create(
    pod(OPEN, "server", LISTEN),
    pod(OPEN, "client", ["sleep", "1000"]),
    pod(CLOSED, "client", ["sleep", "1000"]),
    pod(CLOSED, "server", LISTEN),
  );
  await Promise.all([waitReady(OPEN, "server"), waitReady(OPEN, "client"), waitReady(CLOSED, "client"), waitReady(CLOSED, "server")]);
});
afterAll(async () => {
  await deleteNamespaces(OPEN, CLOSED);
  await kubectl(["delete", "runtimeclass", "ground-gvisor"]);
});

test("a pod of the runtime class runs in gVisor", async () => {
  expect(await exec(OPEN, "client", "dmesg")).toContain("Starting gVisor");
});

test("a default-deny policy cuts both directions of what was reachable before it, and nothing else", async () => {
  const [open, closed] = await Promise.all([addressOf(OPEN, "server"), addressOf(CLOSED, "server")]);
  await until(() => reaches(CLOSED, "client", open), Boolean, 20_000);
  await until(() => reaches(OPEN, "client", closed), Boolean, 20_000);

  await create(denyAll);

  await until(
    () => reaches(CLOSED, "client", open),
    (yes) => !yes,
    20_000,
  );
  expect(await reaches(OPEN, "client", closed)).toBe(false);
  expect(await reaches(OPEN, "client", open)).toBe(true);
});
