// Pool, leases and reconciler over the memory driver, with versions that are modules on disk; for tests.
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Change, Route } from "../../contract/internal.ts";
import { PlatformError } from "../../contract/errors.ts";
import { createLayerCache } from "../../images/layer-cache.ts";
import { createLayoutStore } from "../../images/layout-store.ts";
import { createMemoryDriver, createMemoryWorld, type MemoryDriver } from "../../sandbox/memory/driver.ts";
import { openModule } from "../../sandbox/memory/open-module.ts";
import { initFor } from "../../sandbox/testing/ask.ts";
import { placeLayer } from "../../sandbox/testing/layers.ts";
import { DEFAULT_CAPS } from "../../contract/tenant-caps.ts";
import type { InstanceFailure } from "../start/launch.ts";
import { createLeaseManager } from "../leases/lease-manager.ts";
import { createReconciler } from "../upkeep/reconciler.ts";
import { createStarter } from "../start/starter.ts";
import type { VersionInfo } from "../start/version-info.ts";
import type { PoolKey } from "../pool/pool-key.ts";
import { createServed } from "../upkeep/served.ts";
import { createFairQueue, type FairQueueOptions } from "../../service/fair-queue.ts";
import type { InstanceCaps } from "../leases/tenant-use.ts";
import { createWarmPool } from "../pool/warm-pool.ts";

type Emitted = Change extends infer C ? (C extends { at: string } ? Omit<C, "at"> : never) : never;
/** `maxInstances` of the tests' control planes. */
export const MOST_INSTANCES = 48;
type Settable = "max" | "min" | "concurrency" | "memoryMib" | "idleTimeoutMs";
export type VersionSettings = Partial<Pick<VersionInfo, Settable>> & { tenantId?: string };
const ECHO = `export default (request, response) => response.end(process.pid + " " + import.meta.url);`;

export interface HostOptions {
  poolSize?: number;
  caps?: InstanceCaps;
  queue?: FairQueueOptions;
}
const MANY_TURNS = { parallel: 64, perOwner: 64 };

export async function createInstancesHost({ poolSize = 1, caps = DEFAULT_CAPS, queue = MANY_TURNS }: HostOptions = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-in-"));
  const layersDir = path.join(folder, "layers");
  const base = `sha256:${randomBytes(32).toString("hex")}`;
  const key: PoolKey = { kind: "function", base, isolation: "gvisor", memoryMib: 128, egress: false };
  const options = { world: createMemoryWorld(), socketsDir: path.join(folder, "s"), layersDir, bases: new Set([base]), open: openModule };
  const driver = await createMemoryDriver(options);
  const known = new Map<string, VersionInfo>();
  const routes = new Map<string, Route>();
  const errors: unknown[] = [];
  let silence: Promise<never> | undefined;

  /** A control plane's own state; the sandboxes of the driver outlive it. */
  function controlPlane(epoch: number, over: MemoryDriver = driver) {
    const onError = (error: unknown) => void errors.push(error);
    const emitted: Emitted[] = [];
    const failures: InstanceFailure[] = [];
    const targets = { fixed: [{ key, size: poolSize }], demandSize: 0, demandMs: 0, demandKinds: 0 };
    const pool = createWarmPool({
      driver: over,
      epoch,
      queue: createFairQueue(queue),
      targets,
      prepareEgress: async () => undefined,
      onError,
    });
    const layers = createLayerCache(layersDir, createLayoutStore(path.join(folder, "images")));
    const versions = {
      get: (_functionId: string, versionId: string) => {
        if (silence !== undefined) return silence;
        const info = known.get(versionId);
        return info === undefined ? Promise.reject(new PlatformError("NOT_FOUND", "There is no such version.")) : Promise.resolve(info);
      },
      forgetFunction: () => undefined,
      forgetTenant: () => undefined,
      forgetAll: () => undefined,
    };
    const feed = { get: (id: string) => routes.get(id), values: () => routes.values() };
    const leases = createLeaseManager({
      caps,
      minOf: createServed(feed).minOf,
      maxInstances: MOST_INSTANCES,
      epoch,
      versions,
      start: createStarter({
        driver: over,
        pool,
        ensureLayer: (tenantId, digest) => layers.ensure(tenantId, digest),
        perTenant: false,
        onError,
      }),
      stopInstance: (id) => over.stop(id),
      listInstances: () => over.list(),
      emit: (change) => void emitted.push(change as Emitted),
      onFailure: (failure) => void failures.push(failure),
      onError,
    });
    const reconciler = createReconciler({ leases, driver: over, pool, versions, routes: feed, onError });
    return { pool, leases, reconciler, emitted, failures };
  }

  return {
    driver,
    key,
    errors,
    routes,
    controlPlane,
    /** A ready version of a new function, and the request by which a gateway gets an instance of it. */
    async version(settings: VersionSettings = {}, module = ECHO) {
      const { tenantId = randomUUID(), ...more } = settings;
      const image = await placeLayer(layersDir, tenantId, { "index.mjs": module });
      const info: VersionInfo = {
        image,
        base,
        layerBytes: 1024,
        isolation: "gvisor",
        floor: "gvisor",
        memoryMib: 128,
        concurrency: 10,
        min: 0,
        max: 5,
        idleTimeoutMs: 60_000,
        init: initFor(image),
        egress: [],
        ...more,
      };
      known.set(image.versionId, info);
      const { functionId, versionId } = image;
      return { info, ask: (holder: string, waitMs = 0) => ({ holder, functionId, versionId, waitMs }) };
    },
    /** From now on the version's tenant needs Kata. */
    raise: (info: VersionInfo): void => void known.set(info.image.versionId, { ...info, isolation: "kata", floor: "kata" }),
    /** Makes reads of versions settle as `instead` does, like a database that is away; without an argument the database answers again. */
    silence(instead?: Promise<never>): void {
      silence = instead;
      instead?.catch(() => undefined);
    },
    forget: ({ image }: VersionInfo) => void known.delete(image.versionId),
    /** Makes the version the live one of its function. */
    serve({ image, min, max, concurrency, idleTimeoutMs }: VersionInfo): void {
      const { tenantId, functionId, versionId, version } = image;
      const target = { versionId, version, weight: 100 };
      const names = { tenant: "acme", function: "probe", access: "private" as const, isolation: "gvisor" as const, timeoutMs: 1000 };
      routes.set(functionId, { ...names, tenantId, functionId, targets: [target], idleTimeoutMs, concurrency, min, max });
    },
    async close(): Promise<void> {
      for (const { id } of await driver.list()) await driver.stop(id);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
export type InstancesHost = Awaited<ReturnType<typeof createInstancesHost>>;
