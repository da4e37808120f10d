// The whole platform on a real cluster: installed by the chart, deployed with the CLI, built in a gVisor pod, answered from a gVisor pod.
import { conditionsSchema, type Condition } from "@fnctl/control-plane/contract/conditions";
import path from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createCustomer, type Customer } from "./customer.ts";
import { processOfPod } from "./pod-process.ts";
import { createPlatformHost, type PlatformHost } from "./platform-host.ts";

const EXAMPLES = path.resolve(import.meta.dirname, "../../../examples");
let platform: PlatformHost;
let customer: Customer;
beforeAll(async () => {
  platform = await createPlatformHost(inject("cluster"));
  customer = await createCustomer(platform);
}, 300_000);
afterAll(async () => {
  await (customer as Customer | undefined)?.close(); // undefined if it did not start
  await (platform as PlatformHost | undefined)?.close();
});
const deploy: Customer["deploy"] = (...given) => customer.deploy(...given);
const call: Customer["call"] = (...given) => customer.call(...given);

const HELLO = `
import { readFileSync } from "node:fs";
export default { fetch: () => Response.json({ kernel: readFileSync("/proc/version", "utf8"), uid: process.getuid(), env: Object.keys(process.env) }) };
`;

test("deploy, build and invoke: the answer comes from gVisor, from an unprivileged user who knows nothing of the cluster", async () => {
  await deploy("hello", { "fnctl.yaml": "name: hello\nruntime: node24\n", "index.js": HELLO });
  const answer = await call("hello");
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  const seen = JSON.parse(answer.text) as { kernel: string; uid: number; env: string[] };
  expect(seen.kernel).toContain("gvisor");
  expect(seen.uid).toBe(10_001);
  expect(seen.env.filter((name) => /KUBERNETES|_SERVICE_|TLS/.test(name) && (process.env[name] ?? "") !== "")).toEqual([]);
});

test.each([
  ["hono-api", "/"],
  ["fastapi-app", "/"],
  ["thumbnailer", "/"], // has native code
  ["numpy-stats", "/"],
])("a build of %s installs its packages through the egress proxy, from a builder that reaches nothing else", async (name, where) => {
  await customer.fnctl(["deploy"], path.join(EXAMPLES, name));
  expect(await call(name, where)).toMatchObject({ status: 200 });
  const log = await platform.kubectl(["logs", "-n", platform.namespace, "deploy/fnctl-egress", "--tail=500"]);
  const lines = log.split("\n").filter((line) => line.includes('"label":"builder"'));
  expect(JSON.parse(lines.at(-1) ?? "{}")).toMatchObject({
    tenant: expect.stringMatching(/^[0-9a-f-]{36}$/),
    bytesDown: expect.any(Number),
  });
});

test("a Python function, too", async () => {
  const source = 'def handler(event, context):\n    return {"statusCode": 200, "body": "from python"}\n';
  await deploy("snake", { "fnctl.yaml": "name: snake\nruntime: python3.13\n", "main.py": source });
  expect(await call("snake")).toEqual({ status: 200, text: "from python" });
});

test("a tenant of elevated risk has no pod in gVisor: without Kata's nodes it is told what is missing", async () => {
  const { id, token } = await customer.newTenant("risky", "elevated");
  const files = { "fnctl.yaml": "name: risky\nruntime: node24\n", "index.js": HELLO };
  await expect(deploy("risky", files, token)).rejects.toThrow(
    /ISOLATION_UNAVAILABLE[^]*node labelled fnctl\.dev\/sandbox=kata[^]*Install the kata runtime/,
  );
  const pods = await platform.kubectl(["get", "pods", "-A", "-l", `fnctl.dev/tenant=${id}`, "-o", "name"]);
  expect(pods.trim()).toBe("");
});

test("a tenant that is raised to elevated risk is served from gVisor no more, and its namespace takes no such pod", async () => {
  const { id, token } = await customer.newTenant("suspect");
  await deploy("trusted", { "fnctl.yaml": "name: trusted\nruntime: node24\naccess: public\n", "index.js": HELLO }, token);
  const ask = async () => {
    const answer = await request(platform.url, { headers: { host: `trusted--suspect.${platform.domain}` } });
    return { status: answer.statusCode, text: await answer.body.text() };
  };
  expect(await ask()).toMatchObject({ status: 200 });
  const headers = { authorization: `Bearer ${platform.operatorToken}`, "content-type": "application/json" };
  const raised = await request(`${platform.url}/v1/tenants/${id}`, {
    method: "PATCH",
    headers,
    body: JSON.stringify({ risk: "elevated" }),
  });
  expect([raised.statusCode, await raised.body.json()]).toMatchObject([200, { risk: "elevated" }]);
  expect(await ask()).toEqual({ status: 503, text: expect.stringContaining("ISOLATION_UNAVAILABLE") });
  const pods = () => platform.kubectl(["get", "pods", "-A", "-l", `fnctl.dev/tenant=${id}`, "-o", "name"]);
  await expect.poll(async () => (await pods()).trim(), { timeout: 30_000, interval: 500 }).toBe("");
  const floor = ["get", "namespace", `${platform.prefix}-${id}`, "-o", "jsonpath={.metadata.labels.fnctl\\.dev/isolation-floor}"];
  expect(await platform.kubectl(floor)).toBe("kata");
});

/** Reads a condition of the cluster's only isolation class, as the operator. */
async function operator(
  method: "GET" | "POST",
  where: string,
  wanted: Condition["type"] = "NetworkIsolationVerified",
): Promise<Condition | undefined> {
  const answer = await request(`${platform.url}${where}`, { method, headers: { authorization: `Bearer ${platform.operatorToken}` } });
  const { conditions } = conditionsSchema.parse(await answer.body.json());
  expect(conditions.map(({ type, isolation }) => [type, isolation])).toEqual([
    ["NetworkIsolationVerified", "gvisor"],
    ["SandboxClassVerified", "gvisor"],
  ]);
  return conditions.find(({ type }) => type === wanted);
}

test("the class of the cluster's sandboxes is verified from inside one, and shown", async () => {
  expect(await operator("GET", "/v1/conditions", "SandboxClassVerified")).toMatchObject({
    status: "True",
    facts: expect.arrayContaining([{ fact: "size of /tmp", found: "32.0 MiB", promised: "32 MiB", holds: true }]),
  });
});

describe("the network around a sandbox", () => {
  /** Checks again; nothing but the egress proxy may be open to a sandbox. */
  async function closedProbes() {
    const condition = await operator("POST", "/v1/conditions/check");
    expect(condition).toMatchObject({ type: "NetworkIsolationVerified", status: "True" });
    const { probes = [] } = condition ?? {};
    expect(probes.filter(({ fromSandbox }) => fromSandbox === "open").map(({ target }) => target)).toEqual(["the egress proxy"]);
    return probes;
  }

  test("is closed, as seen from inside gVisor, but for the egress proxy; and what is closed is there", async () => {
    // Positive controls: the platform's own pod, which no policy restricts, reaches these at the same time with the same probe.
    const parts = ["another tenant's sandbox", "another sandbox of the same tenant", "the control plane", "the gateway", "the database"];
    const there = [...parts, "the Kubernetes API", "a node", "the cluster's DNS", "a node, by ICMP"];
    const proved = new Set<string>();
    let probes: Awaited<ReturnType<typeof closedProbes>> = [];
    // One packet of a control may be lost on a busy machine, so those that are missing are looked for again. What is closed must be each time.
    for (let look = 0; look < 3 && !there.every((target) => proved.has(target)); look += 1) {
      probes = await closedProbes();
      for (const { target, allowed, fromPlatform } of probes) if (!allowed && fromPlatform === "open") proved.add(target);
    }
    expect([...proved]).toEqual(expect.arrayContaining(there));
    expect(probes.map(({ address }) => address)).toEqual(
      expect.arrayContaining([
        "169.254.169.254:80/tcp",
        "[fd00:ec2::254]:80/tcp",
        "1.1.1.1:443/udp",
        "224.0.0.251:5353/udp",
        "1.1.1.1/icmp",
      ]),
    );
  });

  test("with a hole in it is found out, no tenant's sandbox is started any more, and mending it is enough", async () => {
    const probes = `${platform.prefix}-00000000-0000-7000-8000-00000000000a`;
    const open = { policyTypes: ["Ingress", "Egress"], podSelector: {}, ingress: [{}], egress: [{}] };
    const hole = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "hole", namespace: probes }, spec: open };
    await platform.kubectl(["apply", "-f", "-"], JSON.stringify(hole));
    const found = await operator("POST", "/v1/conditions/check");
    expect(found).toMatchObject({ status: "False", message: expect.stringContaining("the Kubernetes API") });
    // This shows that ping works in a sandbox where policies allow it.
    expect(found?.probes.find(({ target }) => target === "a node, by ICMP")?.fromSandbox).toBe("open");
    await expect(deploy("refused", { "fnctl.yaml": "name: refused\nruntime: node24\n", "index.js": HELLO })).rejects.toThrow(
      /ISOLATION_UNAVAILABLE[^]*fnctl doctor cluster/,
    );
    await platform.kubectl(["delete", "networkpolicy", "hole", "-n", probes]);
    expect(await operator("POST", "/v1/conditions/check")).toMatchObject({ status: "True" });
    await deploy("mended", { "fnctl.yaml": "name: mended\nruntime: node24\n", "index.js": HELLO });
  });
});

describe("two control planes", () => {
  interface Owner {
    pod: string;
    uid: string;
    node: string;
  }
  /** The control plane pod that the service points to; undefined if that pod is gone or being deleted. */
  async function owner(): Promise<Owner | undefined> {
    const of = ["-n", platform.namespace, "-o", "json"];
    const slice = JSON.parse(await platform.kubectl(["get", "endpointslice", "fnctl-control-plane", ...of]));
    const pods = JSON.parse(await platform.kubectl(["get", "pods", "-l", "fnctl.dev/role=control-plane", ...of]));
    const address = slice.endpoints[0].addresses[0];
    const found = pods.items.find((pod: any) => pod.status.podIP === address && pod.metadata.deletionTimestamp === undefined);
    return found === undefined ? undefined : { pod: found.metadata.name, uid: found.metadata.uid, node: found.spec.nodeName };
  }
  const whoami = async () => {
    const answer = await request(`${platform.url}/v1/whoami`, { headers: { authorization: `Bearer ${platform.token}` } }).catch(
      () => undefined,
    );
    await answer?.body.dump();
    return answer?.statusCode;
  };
  /** SECURITY 4.2: takeover within 20 s. */
  const TAKEOVER = { timeout: 20_000, interval: 100 };

  test("the owner is killed: the other takes over in time, and running functions do not notice", async () => {
    const first = await owner();
    expect(first).toBeDefined();
    await customer.warmUp("hello");
    const stop = customer.traffic("hello", 50);
    await platform.kubectl(["delete", "pod", first!.pod, "-n", platform.namespace, "--grace-period=0", "--force"]);
    await expect.poll(async () => (await owner())?.pod ?? first!.pod, TAKEOVER).not.toBe(first!.pod);
    await expect.poll(whoami, TAKEOVER).toBe(200);
    const { sent, failed } = await stop();
    expect(failed).toEqual([]);
    expect(sent).toBeGreaterThan(20);
    await deploy("after", { "fnctl.yaml": "name: after\nruntime: node24\n", "index.js": HELLO });
    // A gateway that has not found the new owner yet answers 503 with retry-after, and never that the function does not exist.
    const seen: number[] = [];
    const ask = async () => {
      seen.push((await call("after")).status);
      return seen.at(-1);
    };
    await expect.poll(ask, TAKEOVER).toBe(200);
    expect(seen.filter((status) => status !== 200 && status !== 503)).toEqual([]);
  });

  test.skipIf(inject("footprintBefore") === null)(
    "the owner is paused, another takes over, and when it wakes up it ends without having done anything",
    async () => {
      const paused = (await owner())!;
      await platform.kubectl(["rollout", "status", "deploy/fnctl-control-plane", "-n", platform.namespace, "--timeout=60s"]);
      const pid = await processOfPod("control-plane", paused.uid);
      await customer.warmUp("hello");
      const stop = customer.traffic("hello", 50);
      process.kill(pid, "SIGSTOP");
      try {
        await expect.poll(async () => (await owner())?.pod ?? paused.pod, TAKEOVER).not.toBe(paused.pod);
        await expect.poll(whoami, TAKEOVER).toBe(200);
      } finally {
        process.kill(pid, "SIGCONT");
      }
      const restarts = () =>
        platform.kubectl([
          "get",
          "pod",
          paused.pod,
          "-n",
          platform.namespace,
          "-o",
          "jsonpath={.status.containerStatuses[0].restartCount}",
        ]);
      await expect.poll(restarts, { timeout: 30_000, interval: 500 }).toBe("1"); // the process found that it had lost its lease, and ended
      expect(await platform.kubectl(["logs", paused.pod, "-n", platform.namespace, "--previous", "--tail=3"])).toMatch(
        /taken over|could not be renewed/,
      );
      expect((await owner())?.pod).not.toBe(paused.pod);
      expect((await stop()).failed).toEqual([]);
    },
  );
});
