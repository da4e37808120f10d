// Ingress with everything on (checks, routing, auth, lease, metering, access log) against a bare undici proxy, in the same run.
// The measure is CPU time of the proxy process per request: with load generator and instance on the same two cores, requests per
// second would measure those. `node throughput.ts [--requests N] [--rounds N]` prints one JSON document.
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Pool } from "undici";
import { ingressEnvironment, makeLease, makeRoute, makeToken, startControlDouble } from "../src/testing/control-double.ts";

const { values } = parseArgs({ options: { requests: { type: "string", default: "20000" }, rounds: { type: "string", default: "15" } } });
const REQUESTS = Number(values.requests);
const ROUNDS = Number(values.rounds);
const CLIENTS = 32;
const TOKEN = "fnctl_bench_0123456789abcdef0123456789abcdef";
const folder = mkdtempSync(join(tmpdir(), "gwb-"));
const at = (name: string): string => join(folder, name);

interface Proxy {
  process: ChildProcess;
  origin: string;
}
interface Run {
  cpuUs: number;
  perSecond: number;
}

async function startAll(): Promise<{ bare: Proxy; ingress: Proxy; stop: () => Promise<void> }> {
  const body = Buffer.from("hello world\n");
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
    response.end(body);
  });
  await new Promise<void>((resolve) => upstream.listen(at("up"), resolve));
  const secret = "b".repeat(64);
  writeFileSync(at("secret"), secret);
  const control = await startControlDouble(at("control"), secret);
  const route = makeRoute({ concurrency: 64, timeoutMs: 30_000 });
  control.routes.set(route.functionId, route);
  const token = makeToken(TOKEN, { tenantId: route.tenantId });
  control.tokens.set(token.tokenId, token);
  control.onLease = (request) => makeLease(request, at("up"), { slots: 64 });
  const bare = await child("bare-proxy.ts", [at("up")], {});
  const ingress = await child("ingress-under-test.ts", [], ingressEnvironment(at));
  return {
    bare,
    ingress,
    async stop() {
      bare.process.kill("SIGKILL");
      ingress.process.kill("SIGKILL");
      upstream.closeAllConnections();
      await Promise.all([new Promise((resolve) => upstream.close(resolve)), control.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function child(file: string, args: string[], env: Record<string, string>): Promise<Proxy> {
  const process_ = fork(join(import.meta.dirname, file), args, { env: { ...process.env, ...env } });
  return new Promise((resolve, reject) => {
    process_.once("message", (address: { port: number }) => resolve({ process: process_, origin: `http://127.0.0.1:${address.port}` }));
    process_.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
  });
}
function cpuOf({ process: process_ }: Proxy): Promise<number> {
  return new Promise((resolve) => {
    process_.once("message", (usage: NodeJS.CpuUsage) => resolve(usage.user + usage.system));
    process_.send("cpu");
  });
}

async function run(proxy: Proxy, requests: number): Promise<Run> {
  const pool = new Pool(proxy.origin, { connections: CLIENTS, pipelining: 1, allowH2: false });
  const headers = { host: "hello--acme.localhost", authorization: `Bearer ${TOKEN}`, accept: "*/*", "user-agent": "bench" };
  let left = requests;
  const client = async (): Promise<void> => {
    while ((left -= 1) >= 0) {
      const { statusCode, body } = await pool.request({ path: "/", method: "GET", headers });
      await body.dump();
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    }
  };
  const before = await cpuOf(proxy);
  const start = performance.now();
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const seconds = (performance.now() - start) / 1000;
  const cpuUs = ((await cpuOf(proxy)) - before) / requests;
  await pool.destroy();
  return { cpuUs, perSecond: requests / seconds };
}

async function latency(origin: string, socketPath?: string): Promise<{ p50: number; p99: number }> {
  const pool = new Pool(origin, { ...(socketPath === undefined ? {} : { socketPath }), connections: 1, pipelining: 1, allowH2: false });
  const headers = { host: "hello--acme.localhost", authorization: `Bearer ${TOKEN}` };
  const times: number[] = [];
  for (let i = 0; i < 3_000; i += 1) {
    const start = performance.now();
    const { body } = await pool.request({ path: "/", method: "GET", headers });
    await body.dump();
    times.push(performance.now() - start);
  }
  await pool.destroy();
  times.sort((a, b) => a - b);
  return { p50: times[1_500]!, p99: times[2_970]! };
}

const median = (list: number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!;
const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

const all = await startAll();
const results: Record<"bare" | "ingress", Run[]> = { bare: [], ingress: [] };
// Until V8 has compiled what is hot, which takes ingress longer.
for (const name of ["bare", "ingress"] as const) await run(all[name], 90_000);
for (let i = 0; i < ROUNDS; i += 1) for (const name of ["bare", "ingress"] as const) results[name].push(await run(all[name], REQUESTS));
const direct = await latency("http://instance", at("up"));
const through = await latency(all.ingress.origin);
const throughBare = await latency(all.bare.origin);
await all.stop();

// Of each round's two, because the machine's speed changes from round to round by as much as half.
const ratio = median(results.bare.map((item, i) => item.cpuUs / results.ingress[i]!.cpuUs));
const cpu = { bare: median(results.bare.map((item) => item.cpuUs)), ingress: median(results.ingress.map((item) => item.cpuUs)) };
process.stdout.write(
  `${JSON.stringify(
    {
      requests: REQUESTS,
      rounds: ROUNDS,
      clients: CLIENTS,
      cpuMicrosecondsPerRequest: { bare: round(cpu.bare), ingress: round(cpu.ingress) },
      ratio: round(ratio, 3),
      goal: 0.85,
      met: ratio >= 0.85,
      requestsPerSecond: {
        bare: Math.round(median(results.bare.map((item) => item.perSecond))),
        ingress: Math.round(median(results.ingress.map((item) => item.perSecond))),
      },
      latencyMs: {
        direct: { p50: round(direct.p50, 3), p99: round(direct.p99, 3) },
        bare: { p50: round(throughBare.p50, 3), p99: round(throughBare.p99, 3) },
        ingress: { p50: round(through.p50, 3), p99: round(through.p99, 3) },
        added: { p50: round(through.p50 - direct.p50, 3), p99: round(through.p99 - direct.p99, 3) },
        goal: { p50: 0.3, p99: 1.5 },
      },
    },
    null,
    2,
  )}\n`,
);
