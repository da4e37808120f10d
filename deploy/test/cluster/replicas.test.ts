// Several replicas of each part, each of which is replaced while requests come in.
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createCustomer, type Customer } from "./customer.ts";
import { processOfPod } from "./pod-process.ts";
import { TENANT, createPlatformHost, type PlatformHost } from "./platform-host.ts";

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

describe("max: 1, concurrency: 1 behind two gateways", () => {
  const ONE = `
    export default async () => {
      const from = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 30));
      return Response.json({ from, to: Date.now() });
    };`;
  const ROUNDS = 25;
  async function gatewayPods(): Promise<{ uid: string; ip: string }[]> {
    const list = ["get", "pods", "-n", platform.namespace, "-l", "fnctl.dev/role=gateway", "-o", "json"];
    const { items } = JSON.parse(await platform.kubectl(list)) as { items: { metadata: { uid: string }; status: { podIP: string } }[] };
    return items.map(({ metadata, status }) => ({ uid: metadata.uid, ip: status.podIP }));
  }

  test("every request is served, and never two at once", async () => {
    await customer.deploy("one", {
      "fnctl.yaml": "name: one\nruntime: node24\naccess: public\nmax: 1\nconcurrency: 1\nidleTimeout: 10m\n",
      "index.js": ONE,
    });
    const gateways = (await gatewayPods()).map(({ ip }) => ip);
    expect(gateways).toHaveLength(2);
    // One client calls each gateway and calls again as soon as it is answered, so that the only instance passes between the gateways all
    // the time.
    const spans: { from: number; to: number; by: string }[] = [];
    const client = async (by: string) => {
      for (let round = 0; round < ROUNDS; round++) {
        const answer = await request(`http://${by}:8080/`, { headers: { host: `one--${TENANT}.${platform.domain}` } });
        const text = await answer.body.text();
        expect([answer.statusCode, text]).toEqual([200, expect.any(String)]);
        spans.push({ ...(JSON.parse(text) as { from: number; to: number }), by });
      }
    };
    await Promise.all(gateways.map(client));
    expect(spans).toHaveLength(ROUNDS * 2);
    const ordered = spans.toSorted((a, b) => a.from - b.from);
    expect(ordered.filter((span, index) => index > 0 && span.from < ordered[index - 1]!.to)).toEqual([]);
    expect(ordered.filter((span, index) => index > 0 && span.by !== ordered[index - 1]!.by).length).toBeGreaterThan(1);
  });

  // Where the cluster comes from KUBECONFIG its nodes' processes are not here.
  test.skipIf(inject("footprintBefore") === null)(
    "when the gateway that holds the instance is killed, the other one has it when its handler has ended, and does not wait for the lease",
    async () => {
      await customer.deploy("held", {
        "fnctl.yaml": "name: held\nruntime: node24\naccess: public\nmax: 1\nconcurrency: 1\nidleTimeout: 10m\n",
        "index.js": `
          let running = 0, most = 0;
          export default async (request) => {
            most = Math.max(most, running += 1);
            if (request.url.endsWith("/long")) await new Promise((resolve) => setTimeout(resolve, 3000));
            running -= 1;
            return Response.json({ most, pid: process.pid });
          };`,
      });
      const [dying, other] = (await gatewayPods()) as [{ uid: string; ip: string }, { uid: string; ip: string }];
      const host = `held--${TENANT}.${platform.domain}`;
      const ask = async (ip: string, path: string) => {
        const { statusCode, body } = await request(`http://${ip}:8080${path}`, { headers: { host } });
        return { statusCode, text: await body.text() };
      };
      expect((await ask(dying.ip, "/")).statusCode).toBe(200);
      const long = ask(dying.ip, "/long").catch(() => "cut");
      await new Promise((resolve) => setTimeout(resolve, 300));
      process.kill(await processOfPod("gateway", dying.uid), "SIGKILL");
      expect(await long).toBe("cut");
      const begun = Date.now();
      // Its queue's time is over before a kubelet has told that a container ended, on a busy machine.
      const answered = async () => JSON.parse((await ask(other.ip, "/")).text).most as number | undefined;
      await expect.poll(answered, { timeout: 14_000, interval: 50 }).toBe(1);
      expect(Date.now() - begun).toBeGreaterThan(2_000);
    },
  );
});

describe("replaced while 100 requests a second come in, none fails:", () => {
  const HELLO = "export default { fetch: () => new Response('hello') };\n";
  const settled = (part: string) =>
    platform.kubectl(["rollout", "status", `deploy/fnctl-${part}`, "-n", platform.namespace, "--timeout=80s"]);
  beforeAll(async () => {
    await customer.deploy("steady", { "fnctl.yaml": "name: steady\nruntime: node24\nidleTimeout: 10m\n", "index.js": HELLO });
    await customer.warmUp("steady");
  });
  async function under(change: () => Promise<unknown>): Promise<void> {
    const stop = customer.traffic("steady", 100);
    try {
      await change();
    } finally {
      const { sent, failed } = await stop();
      expect(failed).toEqual([]);
      expect(sent).toBeGreaterThan(100);
    }
  }

  test.each(["gateway", "control-plane", "egress"])("the %s", async (part) => {
    await under(async () => {
      await platform.kubectl(["rollout", "restart", `deploy/fnctl-${part}`, "-n", platform.namespace]);
      await settled(part);
    });
  });

  test("all of it, by helm upgrade", async () => {
    await under(async () => {
      // Every pod template changes, as with a new release.
      await platform.install({ "podAnnotations.example\\.com/release": "next" });
      await Promise.all(["gateway", "control-plane", "egress"].map(settled));
    });
    // Every old control plane has ended, even if it was told to during its start.
    const planes = ["get", "pods", "-n", platform.namespace, "-l", "fnctl.dev/role=control-plane", "-o", "name"];
    await expect.poll(async () => (await platform.kubectl(planes)).trim().split("\n"), { timeout: 30_000, interval: 500 }).toHaveLength(2);
    await customer.deploy("afterwards", { "fnctl.yaml": "name: afterwards\nruntime: node24\n", "index.js": HELLO });
    expect((await customer.call("afterwards")).text).toBe("hello");
  });
});

test("helm test finds the installation in order", async () => {
  // Without --logs: the pod is removed when it has succeeded, and helm would not find it.
  const text = await platform.helm(["test", "fnctl", "--timeout=80s"]).catch(async (error: unknown) => {
    throw new Error(await platform.kubectl(["logs", "-n", platform.namespace, "fnctl-test"]), { cause: error });
  });
  expect(text).toMatch(/Phase: +Succeeded/);
});

test("helm uninstall leaves what belongs to tenants, and says so", async () => {
  const namespaces = async () =>
    (await platform.kubectl(["get", "namespaces", "-l", "app.kubernetes.io/managed-by=fnctl", "-o", "name"]))
      .split("\n")
      .filter((name) => name.includes(`/${platform.prefix}-`));
  const before = await namespaces();
  expect(before.length).toBeGreaterThan(0);
  const text = await platform.helm(["uninstall", "fnctl", "--wait", "--timeout=80s"]);
  expect(text).toMatch(/kept due to the resource policy[^]*Secret/);
  expect(await namespaces()).toEqual(before);
  expect(await platform.kubectl(["get", "secrets", "-n", platform.namespace, "-o", "name"])).toMatch(/fnctl-internal/);
  // The same release comes back to the same database, secrets and namespaces, and the function is there.
  await platform.install();
  await expect.poll(async () => (await customer.call("steady")).text, { timeout: 60_000, interval: 500 }).toBe("hello");
});
