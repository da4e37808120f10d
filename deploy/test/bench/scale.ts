// `npm run bench:scale`: 1,000 tenants and 10,000 instances on simulated nodes; the API server and the control plane are real. What it
// costs to start one, what the control plane needs to hold them, and where it bends. `-- --functions N --tenants N` for other sizes.
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { clusterScript, run, type Cluster } from "../cluster/cluster.ts";
import { CHART, renderChart } from "../cluster/render-chart.ts";
import type { Plan, Report } from "../scale/control-plane.ts";
import { openSimulatedNodes } from "../scale/nodes.ts";
import { printTable, type Row } from "./rows.ts";

const { values } = parseArgs({
  options: { functions: { type: "string", default: "10000" }, tenants: { type: "string", default: "1000" } },
});
const FUNCTIONS = Number(values.functions);
const PER_TENANT = FUNCTIONS / Number(values.tenants);
const RELEASE = "scale";
const SYSTEM = "scale-system";
const PREFIX = "scale-t";
const IMAGES = "registry.example.com/fnctl";
/** This machine, as the node sees it. */
const SANDBOXES = "10.201.0.1";
const STEPS = [0.1, 0.5, 1];
const STEP_MS = 15 * 60_000;
const REST_MS = 20_000;

/** A kubeconfig for the control plane's own account: its rights, and its calls in the audit log. */
async function accountOf(cluster: Cluster, kubectl: Kubectl, folder: string): Promise<string> {
  const token = (await kubectl(["create", "token", `${RELEASE}-control-plane`, "-n", SYSTEM, "--duration=6h"])).trim();
  const view = JSON.parse(await kubectl(["config", "view", "--raw", "-o", "json"])) as { clusters: object[] };
  const file = path.join(folder, "kubeconfig.json");
  const [known] = view.clusters;
  const contexts = [{ name: "scale", context: { cluster: (known as { name: string }).name, user: "account" } }];
  const users = [{ name: "account", user: { token } }];
  await writeFile(
    file,
    JSON.stringify({ apiVersion: "v1", kind: "Config", clusters: [known], users, contexts, "current-context": "scale" }),
  );
  return file;
}
type Kubectl = (args: string[], input?: string) => Promise<string>;

async function install(kubectl: Kubectl, cluster: Cluster): Promise<string> {
  await kubectl(["create", "namespace", SYSTEM]);
  const templates = ["rbac", "admission", "runtime-classes"].map((name) => `templates/${name}.yaml`);
  const rendered = await renderChart(cluster, templates, { "tenants.prefix": PREFIX, "image.prefix": IMAGES }, RELEASE, SYSTEM);
  await kubectl(["apply", "-f", `${CHART}/crds`]);
  await kubectl(["wait", "--for=condition=Established", "crd/epochs.fnctl.dev", "--timeout=20s"]);
  await kubectl(["apply", "-n", SYSTEM, "-f", "-"], rendered);
  const epoch = { apiVersion: "fnctl.dev/v1", kind: "Epoch", metadata: { name: RELEASE, namespace: SYSTEM }, spec: { epoch: 1 } };
  await kubectl(["apply", "-f", "-"], JSON.stringify(epoch));
  return (await kubectl(["get", "namespace", SYSTEM, "-o", "jsonpath={.metadata.uid}"])).trim();
}

function openControlPlane(plan: Plan) {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../scale/control-plane.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.write(`${JSON.stringify(plan)}\n`);
  return {
    ready: () => lines.next(),
    async ask(line: string): Promise<Report> {
      child.stdin.write(`${line}\n`);
      return JSON.parse((await lines.next()).value as string) as Report;
    },
    close: () => child.kill(),
  };
}
type ControlPlane = ReturnType<typeof openControlPlane>;

/** Calls of the account so far, by verb and resource; undefined for a cluster whose audit log is not here. */
async function callsOf(cluster: Cluster): Promise<Map<string, number>> {
  const file = path.join(path.dirname(cluster.kubeconfig), "../log/audit.ndjson");
  const calls = new Map<string, number>();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    if (!line.includes(`${SYSTEM}:${RELEASE}-control-plane`)) continue;
    const { verb, objectRef, stage } = JSON.parse(line) as { verb: string; stage: string; objectRef?: { resource: string } };
    const name = `${verb} ${objectRef?.resource ?? ""}`;
    if (stage === "ResponseComplete") calls.set(name, (calls.get(name) ?? 0) + 1);
  }
  return calls;
}

async function fill(plane: ControlPlane, wanted: number, add: number): Promise<Row[]> {
  const before = await plane.ask("look");
  const begun = performance.now();
  await plane.ask(`more ${add}`);
  let now: Report;
  for (;;) {
    await sleep(2_000);
    now = await plane.ask("look");
    process.stderr.write(
      `${now.ready}/${wanted} ${now.rssMib.toFixed(0)} MiB, loop p99 ${now.loopP99Ms.toFixed(0)} ms, list ${now.listMs.toFixed(0)} ms, ${now.errors} errors ${now.lastError.slice(0, 200)}\n`,
    );
    if (now.ready >= wanted || performance.now() - begun > STEP_MS) break;
  }
  const seconds = (performance.now() - begun) / 1000;
  await plane.ask("look");
  const rested = performance.now();
  const start = await plane.ask("look");
  await sleep(REST_MS);
  const rest = await plane.ask("look");
  const share = (rest.cpuMs - start.cpuMs) / (performance.now() - rested);
  return [
    { what: `${wanted} instances: starts a second, from ${before.ready}`, value: (now.ready - before.ready) / seconds, unit: "count" },
    { what: `${wanted} instances: memory of the control plane`, value: rest.rssMib, unit: "MB" },
    { what: `${wanted} instances: its processor at rest, of one core`, value: share, unit: "x" },
    { what: `${wanted} instances: event loop late at rest, p99`, value: rest.loopP99Ms, unit: "ms" },
  ];
}

async function measure(cluster: Cluster, kubectl: Kubectl, folder: string): Promise<Row[]> {
  const uid = await install(kubectl, cluster);
  const nodes = await openSimulatedNodes(cluster, uid, SANDBOXES);
  const platform = { uid, namespace: SYSTEM, prefix: PREFIX };
  const kubeconfig = await accountOf(cluster, kubectl, folder);
  const plane = openControlPlane({ kubeconfig, platform, release: RELEASE, images: IMAGES, epoch: 1, perTenant: PER_TENANT });
  const rows: Row[] = [];
  try {
    await plane.ready();
    let have = 0;
    for (const step of STEPS) {
      const wanted = Math.round(FUNCTIONS * step);
      rows.push(...(await fill(plane, wanted, wanted - have)));
      have = wanted;
    }
    const calls = await callsOf(cluster);
    const total = [...calls.values()].reduce((sum, count) => sum + count, 0);
    process.stderr.write(`${JSON.stringify(Object.fromEntries([...calls].toSorted((a, b) => b[1] - a[1])))}\n`);
    rows.push({ what: "API calls for each pod start, tenants' set-up included", value: total / FUNCTIONS, unit: "x" });
  } finally {
    plane.close();
    await nodes.close();
  }
  return rows;
}

const kubeconfig = process.env["KUBECONFIG"] ?? (await clusterScript("up"));
const cluster: Cluster = { kubeconfig, bin: await clusterScript("bin-scale"), registry: "", image: "" };
const kubectl: Kubectl = (args, input) => run(cluster, "kubectl", args, input);
const folder = await mkdtemp(path.join(tmpdir(), "fnctl-scale-"));
try {
  process.stdout.write(printTable(await measure(cluster, kubectl, folder)));
} finally {
  await rm(folder, { recursive: true, force: true });
  if (process.env["KUBECONFIG"] === undefined) await clusterScript("down");
}
process.exit(0);
