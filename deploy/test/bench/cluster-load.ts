// Measures many tenants on one node, and the replacement of each part while requests come in.
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import type { Customer } from "../cluster/customer.ts";
import type { PlatformHost } from "../cluster/platform-host.ts";
import { quantile, type Row } from "./rows.ts";

const HELLO = "export default { fetch: () => new Response('hello') };\n";
const TENANTS = 30;
const EACH = 2;
const config = (name: string) => `name: ${name}\nruntime: node24\nmemory: 128\naccess: public\nidleTimeout: 1h\n`;

/** 30 tenants with two functions each, all running at once on one node; each function is then called again. */
export async function tenants(platform: PlatformHost, customer: Customer): Promise<Row[]> {
  await platform.install({ "controlPlane.poolSize": "0" });
  const hosts: string[] = [];
  const deploys: number[] = [];
  for (let tenant = 0; tenant < TENANTS; tenant++) {
    const { token } = await customer.newTenant(`tenant-${tenant}`);
    for (let index = 0; index < EACH; index++) {
      const begun = performance.now();
      await customer.deploy(`f${index}`, { "fnctl.yaml": config(`f${index}`), "index.js": HELLO }, token);
      deploys.push(performance.now() - begun);
      hosts.push(`f${index}--tenant-${tenant}.${platform.domain}`);
    }
  }
  const ask = async (host: string) => {
    const begun = performance.now();
    const { statusCode, body } = await request(platform.url, { headers: { host } });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${host}: ${statusCode} ${text}`);
    return performance.now() - begun;
  };
  for (const host of hosts) await ask(host);
  const again = [];
  for (const host of hosts) again.push(await ask(host));
  const list = ["get", "pods", "-A", "-l", "fnctl.dev/kind=function", "--field-selector=status.phase=Running", "-o", "name"];
  const running = (await platform.kubectl(list)).trim().split("\n").length;
  return [
    {
      what: `${TENANTS} tenants x ${EACH} functions on the one node: pods that run`,
      value: running,
      unit: "count",
      goal: hosts.length,
      atLeast: true,
    },
    { what: "each asked once more, p50", value: quantile(again, 0.5), unit: "ms" },
    { what: "each asked once more, worst", value: Math.max(...again), unit: "ms" },
    { what: "deploy of a new tenant's functions, upload to live, p50", value: quantile(deploys, 0.5), unit: "ms" },
  ];
}

/** Restarts each part while 100 requests a second come in. */
export async function rolling(platform: PlatformHost, customer: Customer): Promise<Row[]> {
  await customer.deploy("steady", { "fnctl.yaml": config("steady"), "index.js": HELLO });
  await customer.warmUp("steady");
  const rows: Row[] = [];
  for (const part of ["gateway", "control-plane", "egress"]) {
    const stop = customer.traffic("steady", 100);
    await sleep(2_000);
    await platform.kubectl(["rollout", "restart", `deploy/fnctl-${part}`, "-n", platform.namespace]);
    await platform.kubectl(["rollout", "status", `deploy/fnctl-${part}`, "-n", platform.namespace, "--timeout=85s"]);
    await sleep(2_000);
    const { sent, failed } = await stop();
    for (const line of failed.slice(0, 5)) process.stderr.write(`${line}\n`);
    rows.push({
      what: `rolling restart of ${part} at 100 requests a second, ${sent} requests: errors`,
      value: failed.length,
      unit: "count",
      goal: 0,
    });
  }
  return rows;
}
