// Everything that builds need, for tests: a real Postgres, real stores and files, the real worker, pool and leases over the memory driver.
// Only the builder sandbox is a double, a server that speaks the builder protocol and does what the test says.
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { createBlobStore } from "@fnctl/control-plane/sources/blob-store";
import { createBuildStore } from "@fnctl/control-plane/builds/build-store";
import { createBuildPump } from "@fnctl/control-plane/builds/pump";
import { createSlots } from "@fnctl/control-plane/builds/slots";
import { createBuildWorker, type BuildWorker, type WorkerOptions } from "@fnctl/control-plane/builds/worker";
import type { EgressConfig } from "@fnctl/control-plane/contract/egress-rules";
import { functionConfigSchema } from "@fnctl/control-plane/contract/config";
import { BUILDER_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { DEFAULT_CAPS, type TenantCaps } from "@fnctl/control-plane/contract/tenant-caps";
import { createPool } from "@fnctl/control-plane/db/pools";
import { createSystemDatabase, type BuildJob } from "@fnctl/control-plane/db/system-database";
import { createTenantStore } from "@fnctl/control-plane/accounts/tenant-store";
import { PLATFORM, type Caller } from "@fnctl/control-plane/db/change";
import { createTenantDatabase, type TenantDatabase } from "@fnctl/control-plane/db/tenant-database";
import { createFunctionStore } from "@fnctl/control-plane/functions/function-store";
import { createLayerCache } from "@fnctl/control-plane/images/layer-cache";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import { archive, file, folder as folderEntry } from "@fnctl/control-plane/images/testing/archives";
import { createLeaseManager } from "@fnctl/control-plane/instances/leases/lease-manager";
import { createStarter } from "@fnctl/control-plane/instances/start/starter";
import { createVersionInfo } from "@fnctl/control-plane/instances/start/version-info";
import { createFairQueue } from "@fnctl/control-plane/service/fair-queue";
import { createWarmPool } from "@fnctl/control-plane/instances/pool/warm-pool";
import type { SandboxDriver, SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { createMemoryDriver, createMemoryWorld } from "@fnctl/control-plane/sandbox/memory/driver";
import { openModule } from "@fnctl/control-plane/sandbox/memory/open-module";
import type { TestPostgres } from "./test-postgres.ts";

/** The result of a builder's build: the module that it made, or the message of its failure. */
export type Builder = (number: number) => Promise<{ module: string } | { failed: string }>;
export interface DeployOptions {
  promote?: boolean;
  min?: number;
  max?: number;
  memoryMib?: number;
  egress?: EgressConfig;
}
/** Settings of a pool that starts each sandbox only when it is asked for. */
const NOT_WARM = { fixed: [], demandSize: 0, demandMs: 0, demandKinds: 0 };
const HELLO = "export default (request, response) => response.end('hello');";

const storesOf = (db: TenantDatabase, spool: string, caps: TenantCaps) => ({
  functions: createFunctionStore(db, caps),
  builds: createBuildStore(db, caps),
  blobs: createBlobStore(db, spool, caps),
});

/** The caller in whose name tests change something of a tenant. */
export const by = (tenantId: string): Caller => ({ tenantId, actor: PLATFORM });

export async function createBuildPlatform(postgres: TestPostgres, caps: TenantCaps = DEFAULT_CAPS) {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-bp-"));
  const at = (name: string) => path.join(folder, name);
  await mkdir(at("spool"));
  const pools = { app: createPool(postgres.url("app"), () => undefined), system: createPool(postgres.url("system"), () => undefined) };
  const db = createTenantDatabase(pools.app);
  const system = createSystemDatabase(pools.system);
  const images = createLayoutStore(at("images"));
  const layers = createLayerCache(at("layers"), images);
  const tenants = createTenantStore(system);
  const data = { ...storesOf(db, at("spool"), caps), images, layers };
  const base = await images.putBlob("base", MEDIA.layer, archive(file("etc/os-release", "ID=debian\n")));
  await images.putImage("base", "node24", baseImage({ layer: base, process: { args: [], env: [], cwd: "/" } }));
  const runtime = (await images.getImage("base", "node24")).digest;
  const memory = await createMemoryDriver({
    world: createMemoryWorld(),
    socketsDir: at("s"),
    layersDir: at("layers"),
    bases: new Set([runtime]),
    open: openModule,
  });
  const builders = createBuilders(at("b"));
  const driver: SandboxDriver = {
    ...memory,
    start: (spec) => (spec.kind === "builder" ? builders.start(spec) : memory.start(spec)),
    stop: (id) => (builders.has(id) ? builders.stop(id) : memory.stop(id)),
  };

  const taken = new Set<string>();
  return {
    ...data,
    db,
    system,
    tenants,
    folder,
    builders,
    errors: [] as unknown[],
    /** Makes a worker with its own pool and leases, as each control plane has. */
    worker(labelEgress: WorkerOptions["labelEgress"] = async () => undefined) {
      const onError = (error: unknown) => void this.errors.push(error);
      const queue = createFairQueue({ parallel: 64, perOwner: 64 });
      const pool = createWarmPool({ driver, epoch: 1, queue, targets: NOT_WARM, prepareEgress: async () => undefined, onError });
      const versions = createVersionInfo(system);
      const leases = createLeaseManager({
        caps,
        minOf: () => 0,
        maxInstances: 50_000,
        epoch: 1,
        versions,
        start: createStarter({
          driver,
          pool,
          ensureLayer: (tenantId, digest) => layers.ensure(tenantId, digest),
          perTenant: false,
          onError,
        }),
        stopInstance: (id) => driver.stop(id),
        listInstances: () => driver.list(),
        emit: () => undefined,
        onFailure: () => undefined,
        onError,
      });
      const bases = { builder: runtime, runtimes: { node24: runtime } };
      return createBuildWorker({
        ...data,
        pool,
        driver,
        leases,
        versions,
        bases,
        registries: {},
        labelEgress,
        perTenant: false,
        onError,
      });
    },
    /** Makes a pump that takes builds as the owner of a platform does. */
    pump(worker: BuildWorker, places = 2) {
      return createBuildPump({
        mayBegin: async () => true,
        slots: createSlots({ places: () => places }),
        take: (barred, known) => system.takeNextBuild(caps.runningBuilds, barred, known),
        requeue: (inHand) => system.requeueBuilds(inHand),
        work: (job, release) => worker.run(job, release),
        onError: (error) => void this.errors.push(error),
      });
    },
    /** Takes the build, and any others that come before it, and runs it to its end. */
    async run(job: BuildJob, worker?: BuildWorker): Promise<void> {
      while (!taken.delete(job.buildId)) {
        const next = await system.takeNextBuild(1_000, []);
        if (next === undefined) break;
        taken.add(next.buildId);
      }
      await (worker ?? this.worker()).run(job, () => undefined);
    },
    async tenant(): Promise<string> {
      const slug = `t-${randomBytes(6).toString("hex")}`;
      return (await tenants.create({ slug, risk: "standard", tokenName: "first" }, PLATFORM)).tenant.id;
    },
    /** Does what `fnctl deploy` does before the build: uploads the source, creates the version and its queued build. */
    async deploy(tenantId: string, name: string, requestId = "request-of-the-deploy", source = name, more: DeployOptions = {}) {
      const sourceDigest = `sha256:${createHash("sha256").update(source).digest("hex")}`;
      await data.blobs.put(by(tenantId), sourceDigest, Readable.from([Buffer.from(source)]));
      const { promote = true, ...settings } = more;
      const config = functionConfigSchema.parse({ runtime: "node24", ...settings });
      const made = await data.functions.createVersion(
        by(tenantId),
        name,
        { sourceDigest, config, promote, requestId },
        { answer: (all) => all },
      );
      return { ...made, sourceDigest, job: { tenantId, buildId: made.build.id } };
    },
    async close(): Promise<void> {
      for (const { id } of await memory.list()) await memory.stop(id);
      await builders.close();
      await Promise.all([pools.app.end(), pools.system.end()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
export type BuildPlatform = Awaited<ReturnType<typeof createBuildPlatform>>;

function createBuilders(folder: string) {
  const running = new Map<string, http.Server>();
  let builds = 0;
  async function stop(id: string): Promise<void> {
    const server = running.get(id);
    running.delete(id);
    server?.closeAllConnections();
    server?.close();
  }
  return {
    /** The lines that a builder prints; tests may replace them, and `behave` too. */
    lines: ["building"],
    behave: (async () => ({ module: HELLO })) as Builder,
    count: () => builds,
    has: (id: string) => running.has(id),
    async start(spec: SandboxSpec) {
      await mkdir(folder, { recursive: true });
      const address = { kind: "unix" as const, path: path.join(folder, spec.id) };
      let module = "";
      const server = http.createServer((request, response) => {
        const answer = async () => {
          for await (const _ of request) continue;
          if (request.url === BUILDER_PATHS.source) return response.writeHead(204).end();
          if (request.url === BUILDER_PATHS.layer)
            return archive(folderEntry("function/code"), file("function/code/index.mjs", module)).pipe(response);
          const result = await this.behave(++builds);
          if ("module" in result) ({ module } = result);
          const event = "failed" in result ? { type: "failed", message: result.failed } : { type: "done", entry: { file: "index.mjs" } };
          const said = this.lines.map((text) => ({ type: "log", stream: "stdout", text }));
          return response.end([...said, event].map((one) => `${JSON.stringify(one)}\n`).join(""));
        };
        answer().catch(() => response.destroy());
      });
      await new Promise<void>((resolve) => void server.listen(address.path, resolve));
      running.set(spec.id, server);
      return { ...spec, state: "idle" as const, startedAt: Date.now(), address };
    },
    stop,
    close: async () => void (await Promise.all([...running.keys()].map(stop))),
  };
}
