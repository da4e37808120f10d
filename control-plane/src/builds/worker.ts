// One build, from its row to its end: builder sandbox, layer, image, trial start, alias. A build may be run more than once, but only the
// worker with the epoch in its row can end it.
import { PlatformError, toProblem } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";
import type { BlobStore } from "../sources/blob-store.ts";
import type { LayerCache } from "../images/layer-cache.ts";
import type { ImageStore } from "../images/layout-store.ts";
import { versionImage } from "../images/oci.ts";
import type { LeaseManager } from "../instances/leases/lease-manager.ts";
import type { Instance } from "../instances/leases/instance-table.ts";
import type { VersionInfoCache } from "../instances/start/version-info.ts";
import type { WarmPool } from "../instances/pool/warm-pool.ts";
import type { SandboxDriver } from "../sandbox/driver.ts";
import { isOutOfSpace, storageLow } from "../service/free-space.ts";
import { imageReference } from "../functions/function-store.ts";
import { requiredIsolation } from "../functions/isolation.ts";
import { createBuilderClient } from "../sandbox-client/builder-client.ts";
import type { BuildJob } from "../db/system-database.ts";
import type { BuildStore } from "./build-store.ts";
import { createEventLog, type EventLog } from "./event-log.ts";

/** All builders have this much memory; the packages they install are kept in memory too. */
export const BUILDER_MEMORY_MIB = 2048;

export interface RegistrySettings {
  npmRegistry?: string;
  pypiIndex?: string;
  caBundle?: string;
}
export interface WorkerOptions {
  builds: BuildStore;
  blobs: BlobStore;
  images: ImageStore;
  layers: LayerCache;
  pool: WarmPool;
  driver: SandboxDriver;
  leases: LeaseManager;
  versions: VersionInfoCache;
  /** Digests of the base images that new versions get. */
  bases: { builder: string; runtimes: Record<string, string> };
  registries: RegistrySettings;
  /** Names the builder's tenant to the egress proxy, for its log. */
  labelEgress(sandbox: string, tenantId: string, label: string): Promise<void>;
  /** Builders are made for one tenant from the start and not shared in the pool. */
  perTenant: boolean;
  onError(error: unknown, requestId?: string): void;
}
/** A build that lost its worker more often than this is taken to be what kills the workers, and fails. */
export const MOST_TAKEOVERS = 5;
/** A build waits this long for a part of the platform to come back. */
export const MOST_WAIT_MS = 60 * 60_000;
/** The pause grows with each try, because the missing part may stay away for long. */
const retryPause = (epoch: number): number => Math.min(1_000 * 2 ** epoch, 60_000);
type Claimed = NonNullable<Awaited<ReturnType<BuildStore["taken"]>>>;

export function createBuildWorker(options: WorkerOptions) {
  const { builds, blobs, images, layers, pool, driver, leases, versions, bases } = options;

  /** Runs the builder sandbox and returns a stored, checked layer and the entry point. */
  async function runBuilder(claimed: Claimed, log: EventLog) {
    const { version, tenant, fn } = claimed;
    const isolation = requiredIsolation(tenant.risk, undefined);
    const key = {
      kind: "builder",
      base: bases.builder,
      isolation,
      memoryMib: BUILDER_MEMORY_MIB,
      egress: true,
      ...(options.perTenant ? { tenantId: tenant.id, floor: isolation } : {}),
    } as const;
    const { sandbox } = await pool.take(key, { owner: tenant.id, urgent: true });
    const client = createBuilderClient(sandbox);
    try {
      await options.labelEgress(sandbox.id, tenant.id, `build:${fn.name}:${version.number}`);
      await client.putSource(blobs.read(tenant.id, version.sourceDigest));
      const { main, handler, runtime } = version.config;
      const request = {
        runtime,
        timeoutMs: LIMITS.buildMs,
        ...options.registries,
        ...(main === undefined ? {} : { main }),
        ...(handler === undefined ? {} : { handler }),
      };
      const entry = await client.build(request, (event) => {
        if (event.type === "log") log.log(event.stream, event.text);
        else if (event.type === "step") log.log("platform", `${event.name} ${Math.round(event.ms)} ms`);
      });
      return { entry, layer: await layers.add(tenant.id, await client.layer()) };
    } finally {
      client.close();
      // A builder is used once, because it held a tenant's source.
      driver.stop(sandbox.id).catch(options.onError);
    }
  }

  async function publish(claimed: Claimed, job: BuildJob, built: Awaited<ReturnType<typeof runBuilder>>): Promise<void> {
    const { version, tenant, fn } = claimed;
    const base = await images.getImage("base", version.config.runtime);
    for (const layer of base.manifest.layers) await images.mountBlob("base", tenant.id, layer.digest);
    const labels = {
      "dev.fnctl.runtime": version.config.runtime,
      "dev.fnctl.entry": JSON.stringify(built.entry),
      "org.opencontainers.image.base.digest": base.digest,
    };
    const image = versionImage(base, built.layer, labels);
    await images.putImage(tenant.id, imageReference(fn.name, version.number), image);
    const won = await builds.publish(job, claimed.build.epoch, version.id, {
      imageDigest: image.manifest.descriptor.digest,
      imageBytes: [...base.manifest.layers, built.layer].reduce((sum, layer) => sum + layer.size, 0),
      layerDiffId: built.layer.digest,
      layerBytes: built.layer.size,
      baseDigest: base.digest,
      entry: built.entry,
    });
    if (!won) throw new PlatformError("CONFLICT", "Another worker took this build over.");
  }

  /** Starts the version once before it goes live, so that code that cannot be loaded never replaces a version that works. */
  async function trial(claimed: Claimed): Promise<Instance> {
    return (await leases.launch(await versions.get(claimed.fn.id, claimed.version.id), "trial")).instance;
  }

  /** Resolves with the version's first instance. */
  async function steps(claimed: Claimed, job: BuildJob, log: EventLog, release: () => void): Promise<Instance> {
    if (claimed.build.takeovers > MOST_TAKEOVERS)
      throw new PlatformError("BUILD_FAILED", `The build was begun ${claimed.build.takeovers + 1} times and never came to an end.`, {
        hint: "Deploy again; if it happens again, tell the platform's operator the request id.",
      });
    // An image that an earlier worker recorded is kept: a version's content never changes.
    if (claimed.version.state !== "ready") {
      const built = await log.phase("build", () => runBuilder(claimed, log));
      await log.phase("publish", () => publish(claimed, job, built));
    }
    release(); // the builder is done, and no other build waits while the function's own code is imported
    return log.phase("rollout", () => trial(claimed));
  }

  /** A part of the platform that the build needs is not reachable, and the build's time to wait for it is not over. */
  const mayWait = (claimed: Claimed, error: unknown) =>
    error instanceof PlatformError &&
    (error.code === "UNAVAILABLE" || error.code === "STORAGE_LOW") &&
    Date.now() - claimed.build.createdAt.getTime() < MOST_WAIT_MS;

  async function fail(claimed: Claimed, job: BuildJob, log: EventLog, error: unknown): Promise<void> {
    const requestId = claimed.build.requestId ?? job.buildId;
    if (!(error instanceof PlatformError) || error.fault === "system") options.onError(error, requestId);
    const problem = toProblem(error, requestId);
    await log.flush();
    await builds.finish(job, claimed.build.epoch, { problem, version: claimed.version, seq: log.reserve() });
  }

  return {
    /** Runs a taken build until it ends, or puts it back for later. `release` is called when the builder's place is free again. */
    async run(job: BuildJob, release: () => void): Promise<void> {
      const claimed = await builds.taken(job);
      if (claimed === undefined) return;
      const { epoch } = claimed.build;
      const log = createEventLog({ store: builds, job, epoch, firstSeq: claimed.nextSeq, onError: options.onError });
      try {
        const first = await steps(claimed, job, log, release);
        await log.flush();
        const state = await builds.finish(job, epoch, { version: claimed.version, seq: log.reserve() });
        if (state !== "succeeded" || !claimed.build.promote) await leases.stop(first);
      } catch (thrown) {
        const error = isOutOfSpace(thrown) ? storageLow(thrown) : thrown;
        if (!mayWait(claimed, error)) return fail(claimed, job, log, error);
        options.onError(error, claimed.build.requestId ?? job.buildId);
        await log.flush();
        await builds.release(job, epoch, retryPause(epoch));
      }
    },
  };
}
export type BuildWorker = ReturnType<typeof createBuildWorker>;
