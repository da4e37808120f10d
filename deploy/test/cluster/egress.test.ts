// What a function in a pod may reach: the suites of one machine, in gVisor pods; and what is a cluster's alone.
import { createEgressCredentials } from "@fnctl/control-plane/egress/egress-credentials";
import { imageRefSchema, type ImageRef } from "@fnctl/control-plane/sandbox/driver";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { callCases } from "../egress/call-cases.ts";
import { libraryCases } from "../egress/library-cases.ts";
import { deployFixtureTo } from "../egress/place.ts";
import { reachCases } from "../egress/reach-cases.ts";
import { SERVICES, createPlace, type ClusterPlace } from "./place.ts";
import { NODES } from "./platform-host.ts";

let place: ClusterPlace;
beforeAll(async () => {
  place = await createPlace(inject("cluster"));
}, 300_000);
afterAll(() => (place as ClusterPlace | undefined)?.close()); // undefined if it did not start

describe("rules", () => {
  reachCases(() => place);
});
describe("functions that call each other", () => {
  callCases(() => place);
});
describe("client libraries", () => {
  libraryCases(() => place, NODES);
});

const ask = async (what: string, field: string, namespace = place.platform.namespace) =>
  (await place.platform.kubectl(["get", what, "-o", `jsonpath={${field}}`, "-n", namespace])).trim();
const serviceAddress = (name: string) => ask(`service/${name}`, ".spec.clusterIP");

test("the platform's own parts are closed, although their operator opened all services to a tenant", async () => {
  const parts = ["fnctl-gateway", "fnctl-gateway-calls", "fnctl-control-plane", "fnctl-egress"];
  for (const name of parts) place.outside.lead(`${name}.outside.test`, [await serviceAddress(name)]);
  place.outside.lead("kubernetes.outside.test", [await ask("service/kubernetes", ".spec.clusterIP", "default")]);
  place.outside.lead("dns.outside.test", [await ask("service/kube-dns", ".spec.clusterIP", "kube-system")]);
  const { tenant } = (await (await place.api("GET", "/v1/whoami")).json()) as { tenant: { id: string } };
  const body = { private: [{ addresses: SERVICES, ports: [53, 80, 443, 3128, 8444, 8446, 8447] }] };
  await place.api("PUT", `/v1/tenants/${tenant.id}/egress-ceiling`, { body, token: place.operatorToken() });
  const all = ["fnctl-gateway:80", "fnctl-gateway-calls:8447", "fnctl-control-plane:8446", "fnctl-egress:3128", "kubernetes", "dns:53"];
  const allow = all.map((part) => part.replace(/:|$/, (end) => `.outside.test${end}`));
  await deployFixtureTo(place, "reaches-parts", "reaches.js", { egress: { allow } });
  const reach = async (name: string, port: number) =>
    (
      await place.call("reaches-parts", `/?${new URLSearchParams({ by: "proxy", host: `${name}.outside.test`, port: String(port) })}`)
    ).text();
  expect(await reach("dns", 53)).toMatch(/^HTTP\/1\.1 200 /); // what is not the platform's is open
  for (const part of all.slice(0, -1)) {
    const [name = "", port = "443"] = part.split(":");
    expect(await reach(name, Number(port)), part).toMatch(/^HTTP\/1\.1 403 /);
  }
});

describe("from a pod", () => {
  interface Pod {
    instance: string;
    address: string;
    image: ImageRef;
  }
  let pod: Pod;
  let secret: string;
  beforeAll(async () => {
    await deployFixtureTo(place, "knocks", "knocks.js", { max: 1 });
    await place.call("knocks", "/", { method: "POST", body: JSON.stringify({ host: "127.0.0.1", port: 1, text: "" }) });
    pod = await podOf("knocks");
    secret = Buffer.from(await ask("secret/fnctl-internal", ".data.secret"), "base64")
      .toString()
      .trim();
  }, 120_000);

  /** What the function is told by an address to which it says `text`. */
  async function knock(host: string, port: number, text: string): Promise<string> {
    const answer = await place.call("knocks", "/", { method: "POST", body: JSON.stringify({ host, port, text }) });
    return answer.text();
  }
  async function podOf(name: string): Promise<Pod> {
    const { id } = (await (await place.api("GET", `/v1/functions/${name}`)).json()) as { id: string };
    const { items } = JSON.parse(await place.platform.kubectl(["get", "pods", "-A", "-l", "fnctl.dev/kind=function", "-o", "json"]));
    for (const { metadata, status } of items) {
      const image = imageRefSchema.safeParse(JSON.parse(metadata.annotations["fnctl.dev/image"] ?? "{}")).data;
      if (image?.functionId === id) return { instance: metadata.labels["fnctl.dev/instance"], address: status.podIP, image };
    }
    throw new Error(`no pod of ${name}`);
  }
  /** What the proxy says to whoever shows the function's credential, made for a pod with this address. */
  async function connect(address: string): Promise<string> {
    const { tenantId, functionId, versionId, version } = pod.image;
    const claims = { tenantId, functionId, versionId, version, label: "knocks:1", address, hasRules: false };
    const credential = await createEgressCredentials(secret).forFunction(pod.instance, claims);
    const asked = `CONNECT other.outside.test:443 HTTP/1.1\r\nhost: other.outside.test:443\r\nproxy-authorization: Bearer ${credential}\r\n\r\n`;
    return knock(await serviceAddress("fnctl-egress"), 3128, asked);
  }

  test("the egress proxy asks who it is", async () => {
    expect(await knock(await serviceAddress("fnctl-egress"), 3128, "GET / HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 40[15] /);
    const nobody = "CONNECT api.outside.test:443 HTTP/1.1\r\nhost: api.outside.test:443\r\n\r\n";
    expect(await knock(await serviceAddress("fnctl-egress"), 3128, nobody)).toMatch(/^HTTP\/1\.1 407 /);
  });

  test("the egress proxy takes the credential that was made for it, and no other pod's", async () => {
    expect(await connect(pod.address)).toMatch(/^HTTP\/1\.1 403 [^]*other\.outside\.test:443 is not allowed/); // it is known
    expect(await connect("10.200.0.250")).toMatch(/^HTTP\/1\.1 407 /);
  });

  test.each([
    ["fnctl-gateway-calls", 8447],
    ["fnctl-control-plane", 8446],
    ["fnctl-control-plane", 8444],
    ["fnctl-gateway", 80],
  ])("%s, port %i, is not there", async (name, port) => {
    expect(await knock(await serviceAddress(name), port, "x")).toMatch(/^(silence|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ETIMEDOUT)$/);
  });
});
