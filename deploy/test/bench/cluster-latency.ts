// Cold starts with and without a warm pod, and what the platform adds to a warm request, inside a real cluster.
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { z } from "zod";
import { addressOf, imageOf, isRunning, podSchema } from "@fnctl/control-plane/sandbox/kubernetes/pod-state";
import type { Customer } from "../cluster/customer.ts";
import { TENANT, type PlatformHost } from "../cluster/platform-host.ts";
import { quantile, type Row } from "./rows.ts";

const FUNCTIONS = 4;
const COLD_ROUNDS = 6;
/** Time until an idle instance is gone: its idle time of a second, the next look of the reconciler, and the end of the pod. */
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
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${name}: ${statusCode} ${text}`);
    return performance.now() - begun;
  };
}

async function coldTimes(ask: (name: string) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < COLD_ROUNDS; round++)
    for (let index = 0; index < FUNCTIONS; index++) {
      // Waits until the function's last instance has ended and its warm pod is replaced, plus up to a random second: the kubelet looks once
      // a second, and all requests would otherwise meet it at the same moment of its cycle.
      await sleep(UNTIL_COLD_MS + Math.random() * 1000);
      times.push(await ask(`cold-${index}`));
    }
  return times;
}

/**
 * Median and 99th percentile, measured in a gateway's pod so that both ways are inside the cluster: through that gateway, and directly to
 * the instance.
 */
async function warmTimes(platform: PlatformHost): Promise<{ through: [number, number]; direct: [number, number] }> {
  const list = await platform.kubectl(["get", "pods", "-A", "-l", "fnctl.dev/kind=function", "-o", "json"]);
  const { items } = z.object({ items: z.array(podSchema) }).parse(JSON.parse(list));
  const pod = items.find((item) => imageOf(item) !== undefined && isRunning(item));
  const address = pod === undefined ? undefined : addressOf(pod);
  if (pod === undefined || address?.kind !== "tls") throw new Error("no instance runs");
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
          [direct, https, { host: "${address.host}", port: ${address.port}, ca: ${JSON.stringify(address.pin)}, servername: "${pod.metadata.labels["fnctl.dev/instance"]}" }, { host: "x", "x-request-id": "bench-0000000000", "x-fnctl-timeout-ms": "30000" }, b],
        ]) for (let i = 0; i < ${WARM.batch}; i++) { const ms = await one(lib, options, headers, agent); if (round > 0) into.push(ms); }
      }
      const at = (times, share) => times.sort((x, y) => x - y)[Math.floor(times.length * share)];
      console.log(JSON.stringify({ through: [at(through, 0.5), at(through, 0.99)], direct: [at(direct, 0.5), at(direct, 0.99)] })); a.destroy(); b.destroy();
    })();`;
  const text = await platform.kubectl(["exec", "-i", "-n", platform.namespace, "deploy/fnctl-gateway", "--", "node", "-"], script);
  return JSON.parse(text) as { through: [number, number]; direct: [number, number] };
}

const row = (what: string, times: number[], share: number, goal?: number): Row => ({
  what,
  value: quantile(times, share),
  unit: "ms",
  ...(goal === undefined ? {} : { goal }),
});

export async function cold(platform: PlatformHost, customer: Customer): Promise<Row[]> {
  const ask = asker(platform);
  for (let index = 0; index < FUNCTIONS; index++) await deploy(customer, `cold-${index}`);
  await sleep(UNTIL_COLD_MS);
  const pooled = await coldTimes(ask);
  process.stderr.write(`cold with a warm pod: ${pooled.map((ms) => ms.toFixed(0)).join(" ")}\n`);
  await platform.install({ "controlPlane.poolSize": "0" });
  await sleep(UNTIL_COLD_MS);
  const empty = await coldTimes(ask);
  process.stderr.write(`cold without: ${empty.map((ms) => ms.toFixed(0)).join(" ")}\n`);
  return [
    row(`cold start with a warm pod, p50 (${pooled.length} samples)`, pooled, 0.5, 50),
    row("cold start with a warm pod, p99", pooled, 0.99),
    row("cold start without a warm pod, p50", empty, 0.5, 1300),
    row("cold start without a warm pod, p99", empty, 0.99, 2500),
  ];
}

export async function warm(platform: PlatformHost, customer: Customer): Promise<Row[]> {
  await deploy(customer, "warm");
  await sleep(UNTIL_COLD_MS); // from here on only `warm` runs
  await asker(platform)("warm");
  const { through, direct } = await warmTimes(platform);
  const added = (index: 0 | 1) => ({
    value: through[index] - direct[index],
    unit: "ms" as const,
    floor: direct[index],
    floorWhat: "straight at the pod, TLS",
  });
  return [
    { what: "warm request, added by the platform, p50", ...added(0), goal: 0.6 },
    { what: "warm request, added by the platform, p99", ...added(1) },
  ];
}
