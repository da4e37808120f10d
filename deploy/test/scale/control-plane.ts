// The part of the control plane that reconciles, connected as in `wiring/`, with the real Kubernetes driver; data that it would read from
// the database is made up here. It is a separate process, so that its memory and processor time are those of the control plane alone. `node
// control-plane.ts` reads a Plan as JSON on stdin and answers each line `more N` or `look` with a Report as a line of JSON.
import { createHash, randomUUID } from "node:crypto";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { createLeaseManager } from "@fnctl/control-plane/instances/leases/lease-manager";
import { createReconciler } from "@fnctl/control-plane/instances/upkeep/reconciler";
import { createStarter } from "@fnctl/control-plane/instances/start/starter";
import type { VersionInfo } from "@fnctl/control-plane/instances/start/version-info";
import { createFairQueue } from "@fnctl/control-plane/service/fair-queue";
import { createWarmPool } from "@fnctl/control-plane/instances/pool/warm-pool";
import { PooledKubeConfig } from "@fnctl/control-plane/cluster/pooled-config";
import { createKubernetesDriver } from "@fnctl/control-plane/sandbox/kubernetes/driver";
import { DEFAULT_QUOTA } from "@fnctl/control-plane/sandbox/kubernetes/objects/tenant";
import { initFor } from "@fnctl/control-plane/sandbox/testing/ask";

export interface Plan {
  kubeconfig: string;
  platform: { uid: string; namespace: string; prefix: string };
  release: string;
  images: string;
  epoch: number;
  perTenant: number;
}
export interface Report {
  /** Instances that have been loaded and have answered `init`. */
  ready: number;
  errors: number;
  lastError: string;
  rssMib: number;
  cpuMs: number;
  loopP99Ms: number;
  listMs: number;
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const plan = JSON.parse((await lines.next()).value as string) as Plan;
const config = new PooledKubeConfig();
config.loadFromFile(plan.kubeconfig);
const layer = Buffer.alloc(10_240);
const digest = `sha256:${createHash("sha256").update(layer).digest("hex")}`;
let errors = 0;
let lastError = "";
const onError = (error: unknown) => {
  errors++;
  lastError = error instanceof Error ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ""}` : String(error);
};
const driver = await createKubernetesDriver({
  config,
  platform: plan.platform,
  tenants: {
    podSecurity: "v1.34",
    quota: DEFAULT_QUOTA,
    controlPlaneAccount: `${plan.release}-control-plane`,
    tenantRole: `${plan.release}-tenant`,
  },
  imageOf: (base) => `${plan.images}/base@${base}`,
  layer: async () => ({ bytes: layer.length, open: () => Readable.from([layer]) }),
  enters: async () => "fully",
  egressOf: async () => undefined,
  onError,
});

const known = new Map<string, VersionInfo>();
const routes = new Map<string, Route>();
/** Adds a function with `min: 1`. */
function addFunction(tenantId: string): void {
  const [functionId, versionId] = [randomUUID(), randomUUID()];
  const image = { tenantId, functionId, versionId, version: 1, layer: digest, configHash: "0".repeat(64) };
  const numbers = { concurrency: 10, min: 1, max: 5, idleTimeoutMs: 60_000 };
  const isolation = "gvisor" as const;
  const base = `sha256:${"a".repeat(64)}`;
  known.set(versionId, {
    image,
    base,
    layerBytes: layer.length,
    isolation,
    floor: isolation,
    memoryMib: 128,
    init: initFor(image),
    egress: [],
    ...numbers,
  });
  const names = { tenant: `t${tenantId.slice(-12)}`, function: "f", access: "private" as const, isolation, timeoutMs: 30_000 };
  routes.set(functionId, { tenantId, functionId, targets: [{ versionId, version: 1, weight: 100 }], ...names, ...numbers });
}

const versions = {
  get: (_functionId: string, versionId: string) => Promise.resolve(known.get(versionId)!),
  forgetFunction: () => undefined,
  forgetTenant: () => undefined,
  forgetAll: () => undefined,
};
const { epoch } = plan;
const targets = { fixed: [], demandSize: 0, demandMs: 0, demandKinds: 0 };
const pool = createWarmPool({
  driver,
  epoch,
  queue: createFairQueue({ parallel: 64, perOwner: 64 }),
  targets,
  prepareEgress: async () => undefined,
  onError,
});
const start = createStarter({ driver, pool, ensureLayer: async () => undefined, perTenant: true, onError });
const leases = createLeaseManager({
  caps: { instances: 50_000, memoryMib: 100_000_000 },
  minOf: () => 0,
  maxInstances: 50_000,
  epoch,
  versions,
  start,
  stopInstance: (id) => driver.stop(id),
  listInstances: () => driver.list(),
  emit: () => undefined,
  onFailure: () => undefined,
  onError,
});
const reconciler = createReconciler({ leases, driver, pool, versions, routes, onError });
reconciler.run();

const lag = monitorEventLoopDelay();
lag.enable();
async function report(): Promise<Report> {
  const begun = performance.now();
  await driver.list();
  const { user, system } = process.cpuUsage();
  const line = {
    ready: leases.table.size(),
    errors,
    lastError,
    rssMib: process.memoryUsage.rss() / 2 ** 20,
    cpuMs: (user + system) / 1000,
    loopP99Ms: lag.percentile(99) / 1e6,
    listMs: performance.now() - begun,
  };
  lag.reset();
  return line;
}
process.stdout.write("ready\n");
for await (const line of lines) {
  const [verb, count] = line.split(" ");
  if (verb === "more")
    for (let left = Number(count); left > 0;) {
      const tenantId = randomUUID();
      for (let each = 0; each < plan.perTenant && left > 0; each++, left--) addFunction(tenantId);
    }
  process.stdout.write(`${JSON.stringify(await report())}\n`);
}
process.exit(0);
