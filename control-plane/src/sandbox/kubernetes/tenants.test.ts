// Which objects are applied to tenants' namespaces, and in which order; over HTTP, to a server that stores objects as an API server would.
import { KubeConfig } from "@kubernetes/client-node";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LABELS } from "../../cluster/labels.ts";
import { DEFAULT_QUOTA, namespace } from "./objects/tenant.ts";
import { createTenants } from "./tenants.ts";
import type { WireObject } from "../../cluster/wire.ts";

const TENANT = "22222222-2222-4222-8222-222222222222";
const platform = { uid: "11111111-1111-4111-8111-111111111111", namespace: "fnctl-system", prefix: "fnctl" };
const settings = { podSecurity: "v1.34", quota: DEFAULT_QUOTA, controlPlaneAccount: "fnctl-control-plane", tenantRole: "fnctl-tenant" };
const HOME = `/api/v1/namespaces/fnctl-${TENANT}`;
const RESOURCES: Record<string, string[]> = {
  "/api/v1": ["Namespace", "ServiceAccount", "ResourceQuota", "LimitRange"],
  "/apis/rbac.authorization.k8s.io/v1": ["RoleBinding"],
  "/apis/networking.k8s.io/v1": ["NetworkPolicy"],
};
const resource = (kind: string) => ({
  kind,
  name: `${kind.toLowerCase()}s`.replace(/ys$/, "ies"),
  namespaced: kind !== "Namespace",
  singularName: "",
  verbs: [],
});

let server: Server;
let objects: Map<string, WireObject>;
/** The namespace's isolation floor after each write of the namespace. */
let floors: (string | undefined)[];
/** If set, the next write of the namespace waits for this promise. */
let held: Promise<void> | undefined;
let fails: boolean;
beforeEach(async () => {
  [objects, floors, held, fails] = [new Map(), [], undefined, false];
  async function answerTo(method: string, path: string, body: () => Promise<unknown>): Promise<[number, object]> {
    const kinds = RESOURCES[path];
    if (kinds !== undefined) return [200, { kind: "APIResourceList", groupVersion: "", resources: kinds.map(resource) }];
    if (method === "PATCH") {
      const object = (await body()) as WireObject;
      if (object.kind === "Namespace") {
        const wait = held;
        held = undefined;
        await wait;
        floors.push(object.metadata.labels[LABELS.floor]);
      } else if (fails) return [500, { kind: "Status", message: "not now" }];
      objects.set(path, object);
    }
    const found = objects.get(path);
    return found === undefined ? [404, { kind: "Status", message: "not found" }] : [200, found];
  }
  server = createServer((request, response) => {
    const path = new URL(request.url ?? "", "http://api").pathname;
    void answerTo(request.method ?? "", path, () => json(request)).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});
/** New state, as after a start of the control plane. */
function tenants() {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: "c", server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true }],
    users: [{ name: "u" }],
    contexts: [{ name: "x", cluster: "c", user: "u" }],
    currentContext: "x",
  });
  return createTenants(config, platform, settings);
}

test("a floor is prepared once, and raised when more is asked for", async () => {
  const one = tenants();
  await Promise.all([one.prepare(TENANT, "gvisor"), one.prepare(TENANT, "gvisor")]);
  expect(floors).toEqual(["gvisor"]);
  await one.prepare(TENANT, "kata");
  expect(floors).toEqual(["gvisor", "kata"]);
});

test("who asks for gVisor after Kata gets Kata, and nothing is written for it", async () => {
  const one = tenants();
  await one.prepare(TENANT, "kata");
  await one.prepare(TENANT, "gvisor");
  expect(floors).toEqual(["kata"]);
});

test("what was begun for gVisor does not end after what was begun for Kata", async () => {
  const one = tenants();
  let release = (): void => undefined;
  held = new Promise((resolve) => (release = resolve));
  const gvisor = one.prepare(TENANT, "gvisor");
  await expect.poll(() => held === undefined).toBe(true);
  const kata = one.prepare(TENANT, "kata");
  await new Promise((resolve) => setTimeout(resolve, 200)); // by now the write for Kata would have come, if it did not wait
  release();
  await Promise.all([gvisor, kata]);
  expect(floors).toEqual(["gvisor", "kata"]);
});

test("a floor that an earlier control plane raised stays", async () => {
  await tenants().prepare(TENANT, "kata");
  await tenants().prepare(TENANT, "gvisor");
  expect(floors).toEqual(["kata", "kata"]);
});

test("a preparation for Kata that failed is made again, and its floor stays for who asks for gVisor meanwhile", async () => {
  const one = tenants();
  fails = true;
  await expect(one.prepare(TENANT, "kata")).rejects.toMatchObject({ code: "UNAVAILABLE" });
  fails = false;
  await one.prepare(TENANT, "gvisor");
  await one.prepare(TENANT, "kata");
  expect(new Set(floors)).toEqual(new Set(["kata"]));
});

test("a namespace of somebody else is left as it is", async () => {
  const theirs = namespace({ ...settings, platform: { ...platform, uid: "another" }, tenantId: TENANT, floor: "gvisor" });
  objects.set(HOME, theirs);
  await expect(tenants().prepare(TENANT, "kata")).rejects.toMatchObject({ code: "CONFLICT" });
  expect(floors).toEqual([]);
});
