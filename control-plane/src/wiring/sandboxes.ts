// Everything that runs code: driver, warm pool, leases, the reconcile loop.
import { availableParallelism } from "node:os";
import { RUNTIMES } from "../contract/limits.ts";
import type { ImageStore } from "../images/layout-store.ts";
import { readLastOutput } from "../logs/read/last-output.ts";
import type { InstanceFailure } from "../instances/start/launch.ts";
import { MAX_INSTANCES, createLeaseManager } from "../instances/leases/lease-manager.ts";
import { createReconciler } from "../instances/upkeep/reconciler.ts";
import { createStarter } from "../instances/start/starter.ts";
import { createVersionInfo } from "../instances/start/version-info.ts";
import type { Target } from "../instances/pool/pool-targets.ts";
import { createServed } from "../instances/upkeep/served.ts";
import { createFairQueue, type FairQueueOptions } from "../service/fair-queue.ts";
import { createWarmPool } from "../instances/pool/warm-pool.ts";
import { BUILDER_MEMORY_MIB } from "../builds/worker.ts";
import type { ImageRef } from "../sandbox/driver.ts";
import type { ControlPlaneSettings } from "./settings.ts";
import type { Changes } from "./changes.ts";
import type { Data } from "./data.ts";
import type { SandboxHost } from "./sandbox-host.ts";
import { wireSingleHost } from "./single-host.ts";

/** The default memory of a function, which the pool holds from the start; other sizes join it when they are asked for. */
const POOLED_MEMORY_MIB = 256;
const ON_DEMAND = { demandSize: 1, demandMs: 10 * 60_000, demandKinds: 6 };
const ON_DEMAND_PER_TENANT = { ...ON_DEMAND, demandKinds: 1_000 };
const CLUSTER_STARTS: FairQueueOptions = { parallel: 64, perOwner: 32 };

export interface SandboxInput {
  settings: ControlPlaneSettings;
  secret: string;
  data: Data;
  /** Epoch of this owner (platform/owner.ts). */
  epoch: number;
  changes: Pick<Changes, "feed" | "routes">;
  onError(error: unknown): void;
}

export async function wireSandboxes({ settings, secret, data, epoch, changes, onError }: SandboxInput) {
  const { feed, routes } = changes;
  const host = await wireHost({ settings, secret, data, epoch, onError });
  const { driver, collector, perTenant } = host;
  const bases = await readBases(data.images);
  const perRuntime = settings.FNCTL_POOL_SIZE;
  const fixed = perTenant ? [] : pooled(bases, perRuntime);
  const onDemand = perTenant ? ON_DEMAND_PER_TENANT : ON_DEMAND;
  const targets = { fixed, ...onDemand, ...(perRuntime === 0 ? { demandSize: 0 } : {}) };
  const pool = createWarmPool({
    driver,
    epoch,
    queue: createFairQueue(startPlaces(perTenant)),
    targets,
    prepareEgress: host.prepareEgress,
    onError,
  });
  const versions = createVersionInfo(data.system);
  const lastOutput = (image: ImageRef, instance: string) => readLastOutput(collector, image, instance);
  const { ensureLayer, openEgress } = host;
  const start = createStarter({ driver, pool, ensureLayer, perTenant, openEgress, lastOutput, onError });

  /** Tells the tenant of a failure by a line in the function's log and as the last failure that `describe` shows. */
  function onFailure({ tenantId, functionId, version, instance, reason, detail }: InstanceFailure): void {
    collector.note({ tenantId, functionId, version, instance, level: "error", message: `${reason}: ${detail}` }).catch(onError);
    data.functions.keepFailure(tenantId, functionId, { reason, detail, version }).catch(onError);
  }
  const leases = createLeaseManager({
    epoch,
    caps: data.caps,
    minOf: createServed(routes).minOf,
    maxInstances: perTenant ? MAX_INSTANCES.cluster : MAX_INSTANCES.machine,
    versions,
    start,
    stopInstance: (id) => driver.stop(id),
    listInstances: () => driver.list(),
    emit: (change) => feed.publish(change),
    onFailure,
    onError,
  });
  const reconciler = createReconciler({ leases, driver, pool, versions, routes, onError });
  return { epoch, driver, host, collector, bases, pool, versions, leases, reconciler };
}
export type Sandboxes = Awaited<ReturnType<typeof wireSandboxes>>;

/** The Kubernetes client is large: it is loaded only where there is a cluster. */
async function wireHost({ settings, secret, data, epoch, onError }: Omit<SandboxInput, "changes">): Promise<SandboxHost> {
  if (settings.FNCTL_DRIVER === "runsc") return wireSingleHost(settings, secret, data, onError);
  const { wireKubernetesHost } = await import("./kubernetes-host.ts");
  return wireKubernetesHost(settings, secret, data, epoch, onError);
}

/**
 * Starts at a time. On one machine there is a place for each core, and no tenant may take the last one: another tenant's start need not
 * wait, and starts leave a core for requests. In a cluster the nodes do the work.
 */
function startPlaces(cluster: boolean): FairQueueOptions {
  const cores = availableParallelism();
  return cluster ? CLUSTER_STARTS : { parallel: Math.max(2, cores), perOwner: Math.max(1, cores - 1) };
}

export interface Bases {
  builder: string;
  runtimes: Record<string, string>;
}

async function readBases(images: ImageStore): Promise<Bases> {
  const digestOf = async (name: string) => (await images.getImage("base", name)).digest;
  const runtimes = await Promise.all(RUNTIMES.map(async (runtime) => [runtime, await digestOf(runtime)] as const));
  return { builder: await digestOf("builder"), runtimes: Object.fromEntries(runtimes) };
}

/** The pool's size: `perRuntime` sandboxes of each runtime, and one builder, so that the next deploy does not wait for its start. */
function pooled(bases: Bases, perRuntime: number): Target[] {
  const common = { isolation: "gvisor", egress: true, memoryMib: POOLED_MEMORY_MIB } as const;
  const functions = Object.values(bases.runtimes).map((base) => ({
    key: { ...common, kind: "function" as const, base },
    size: perRuntime,
  }));
  const builder = { kind: "builder", base: bases.builder, isolation: "gvisor", memoryMib: BUILDER_MEMORY_MIB, egress: true } as const;
  return [...functions, { key: builder, size: 1 }];
}
