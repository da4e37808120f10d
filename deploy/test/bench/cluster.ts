// `npm run bench:cluster`: what the platform costs on a real cluster, started for this or chosen by KUBECONFIG. Never part of the tests.
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { clusterScript, type Cluster } from "../cluster/cluster.ts";
import { createCustomer, type Customer } from "../cluster/customer.ts";
import { TENANT, createPlatformHost, type PlatformHost } from "../cluster/platform-host.ts";
import { printTable, quantile, type Row } from "./rows.ts";

const FUNCTIONS = 4;
const COLD_ROUNDS = 6;
/** An idle instance is gone after its second, the reaper's turn and the pod's own end. */
const UNTIL_COLD_MS = 6_000;
const WARM = { batch: 300, rounds: 8 };

const deploy = (customer: Customer, name: string) =>
  customer.deploy(name, {
    "fnctl.yaml": `name: ${name}\nruntime: node24\nidleTimeout: ${name === "warm" ? "10m" : "1s"}\n`,
    "index.js": "export default { fetch: () => new Response('hello') };\n",
  });

function asker(platform: PlatformHost): (name: string) => Promise<number> {
  const pool = new Pool(platform.url, { connections: 1 });
  return async (name) => {
    const headers = { host: `${name}--${TENANT}.${platform.domain}`, authorization: `Bearer ${platform.token}` };
    const begun = performance.now();
    const { statusCode, body } = await pool.request({ method: "GET", path: "/", headers });
    await body.dump();
    if (statusCode !== 200) throw new Error(`${name}: ${statusCode}`);
    return performance.now() - begun;
  };
}

async function coldTimes(ask: (name: string) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < COLD_ROUNDS; round++)
    for (let index = 0; index < FUNCTIONS; index++) {
      await sleep(UNTIL_COLD_MS / 2); // the warm pod before it was taken is replaced meanwhile
      times.push(await ask(`cold-${index}`));
    }
  return times;
}

/** Median and 99th percentile. In a gateway's pod, so that both ways are inside the cluster: through that very gateway, and straight at the instance. */
async function warmTimes(platform: PlatformHost): Promise<{ through: [number, number]; direct: [number, number] }> {
  const pods = JSON.parse(await platform.kubectl(["get", "pods", "-A", "-l", "fnctl.dev/kind=function", "-o", "json"]));
  const pod = pods.items.find(
    (item: any) => (item.metadata.annotations["fnctl.dev/image"] ?? "") !== "" && item.status.phase === "Running",
  );
  const pin = pod.spec.containers[0].env.find((entry: any) => entry.name === "FNCTL_TLS_CERT").value;
  const script = `
    const http = require("http"), https = require("https");
    const one = (lib, options, headers, agent) => new Promise((done, fail) => { const begun = performance.now();
      lib.get({ ...options, agent, headers }, (r) => { r.resume(); r.on("end", () => r.statusCode === 200 ? done(performance.now() - begun) : fail(new Error(String(r.statusCode)))); }).on("error", fail); });
    (async () => {
      const a = new http.Agent({ keepAlive: true, maxSockets: 1 }), b = new https.Agent({ keepAlive: true, maxSockets: 1 });
      const through = [], direct = [];
      for (let round = 0; round < ${WARM.rounds + 1}; round++) {
        for (const [into, lib, options, headers, agent] of [
          [through, http, { host: "127.0.0.1", port: 8080 }, { host: "warm--${TENANT}.${platform.domain}", authorization: "Bearer ${platform.token}" }, a],
          [direct, https, { host: "${pod.status.podIP}", port: 8443, ca: ${JSON.stringify(pin)}, servername: "${pod.metadata.labels["fnctl.dev/instance"]}" }, { host: "x", "x-request-id": "bench-0000000000", "x-fnctl-timeout-ms": "30000" }, b],
        ]) for (let i = 0; i < ${WARM.batch}; i++) { const ms = await one(lib, options, headers, agent); if (round > 0) into.push(ms); }
      }
      const at = (times, share) => times.sort((x, y) => x - y)[Math.floor(times.length * share)];
      console.log(JSON.stringify({ through: [at(through, 0.5), at(through, 0.99)], direct: [at(direct, 0.5), at(direct, 0.99)] })); a.destroy(); b.destroy();
    })();`;
  const text = await platform.kubectl(["exec", "-i", "-n", platform.namespace, "deploy/fnctl-gateway", "--", "node", "-"], script);
  return JSON.parse(text) as { through: [number, number]; direct: [number, number] };
}

async function measure(platform: PlatformHost, customer: Customer): Promise<Row[]> {
  const ask = asker(platform);
  for (let index = 0; index < FUNCTIONS; index++) await deploy(customer, `cold-${index}`);
  await sleep(UNTIL_COLD_MS);
  const pooled = await coldTimes(ask);
  process.stderr.write(`cold with a warm pod: ${pooled.map((ms) => ms.toFixed(0)).join(" ")}\n`);
  await platform.install({ "controlPlane.poolSize": "0" });
  await sleep(UNTIL_COLD_MS);
  const empty = await coldTimes(ask);
  process.stderr.write(`cold without: ${empty.map((ms) => ms.toFixed(0)).join(" ")}\n`);
  await deploy(customer, "warm");
  await sleep(UNTIL_COLD_MS); // only `warm` runs
  await ask("warm");
  const { through, direct } = await warmTimes(platform);
  const cold = (what: string, times: number[], share: number, goal: number): Row => ({
    what,
    value: quantile(times, share),
    unit: "ms",
    goal,
  });
  const added = (index: 0 | 1) => ({
    value: through[index] - direct[index],
    unit: "ms" as const,
    floor: direct[index],
    floorWhat: "straight at the pod, TLS",
  });
  return [
    cold(`cold start with a warm pod, p50 (${pooled.length} samples)`, pooled, 0.5, 50),
    { what: "cold start with a warm pod, p99", value: quantile(pooled, 0.99), unit: "ms" },
    cold("cold start without a warm pod, p50", empty, 0.5, 1300),
    cold("cold start without a warm pod, p99", empty, 0.99, 2500),
    { what: "warm request, added by the platform, p50", ...added(0), goal: 0.6 },
    { what: "warm request, added by the platform, p99", ...added(1) },
  ];
}

const { KUBECONFIG: chosen, FNCTL_TEST_BIN, FNCTL_TEST_REGISTRY: registry = "10.201.0.2:5000" } = process.env;
const kubeconfig = chosen ?? (await clusterScript("up"));
const bin = chosen === undefined ? await clusterScript("bin") : (FNCTL_TEST_BIN ?? null);
const cluster: Cluster = { kubeconfig, bin, registry, image: "" };
const platform = await createPlatformHost(cluster);
const customer = await createCustomer(platform);
try {
  process.stdout.write(printTable(await measure(platform, customer)));
} finally {
  await customer.close();
  await platform.close();
  if (chosen === undefined) await clusterScript("down");
}
process.exit(0);
