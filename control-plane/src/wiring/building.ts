// Everything that builds: worker, queue, and the loop that puts lost builds back.
import { readFile } from "node:fs/promises";
import { availableParallelism, freemem } from "node:os";
import { createBuildPump } from "../builds/pump.ts";
import { createBuildQueue } from "../builds/queue.ts";
import { createSlots } from "../builds/slots.ts";
import { BUILDER_MEMORY_MIB, createBuildWorker, type RegistrySettings } from "../builds/worker.ts";
import type { ControlPlaneSettings } from "./settings.ts";
import type { Data } from "./data.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** Builder pods at a time, unless FNCTL_BUILD_SLOTS says otherwise. */
const CLUSTER_BUILD_SLOTS = 8;

export async function wireBuilding(settings: ControlPlaneSettings, data: Data, sandboxes: Sandboxes, onError: (error: unknown) => void) {
  const { pool, driver, host, leases, versions, bases } = sandboxes;
  const worker = createBuildWorker({
    builds: data.builds,
    blobs: data.blobs,
    images: data.images,
    layers: data.layers,
    pool,
    driver,
    leases,
    versions,
    bases,
    registries: await registriesOf(settings),
    labelEgress: host.labelEgress,
    perTenant: host.perTenant,
    onError,
  });
  const slots = createSlots({ places: () => buildPlaces(settings) });
  const pump = createBuildPump({
    slots,
    mayBegin: async () => !(await data.freeSpace.isLow()),
    take: (barred, known) => data.system.takeNextBuild(data.caps.runningBuilds, barred, known),
    requeue: (inHand) => data.system.requeueBuilds(inHand),
    work: (job, release) => worker.run(job, release),
    onError,
  });
  const queue = await createBuildQueue({ connection: settings.FNCTL_DB_JOBS, onWake: pump.wake, onError });
  return {
    /** Called after the build's row is committed; if the message is lost, the pump's next look finds the build. */
    enqueue: (job: { buildId: string }) => void queue.tell(job).catch(onError),
    async run(): Promise<void> {
      await queue.run();
      pump.run();
    },
    async close(): Promise<void> {
      await queue.close();
      await pump.close();
    },
  };
}

/**
 * Builders at a time: as many as there are cores and as fit into free memory; in a cluster a fixed number. FNCTL_BUILD_SLOTS overrides
 * both.
 */
function buildPlaces(settings: ControlPlaneSettings): number {
  if (settings.FNCTL_BUILD_SLOTS !== undefined) return settings.FNCTL_BUILD_SLOTS;
  if (settings.FNCTL_DRIVER === "kubernetes") return CLUSTER_BUILD_SLOTS;
  return Math.min(availableParallelism(), Math.floor(freemem() / (BUILDER_MEMORY_MIB * 1024 * 1024)));
}
export type Building = Awaited<ReturnType<typeof wireBuilding>>;

async function registriesOf(settings: ControlPlaneSettings): Promise<RegistrySettings> {
  const { npmRegistry, pypiIndex } = settings.FNCTL_BUILD_REGISTRIES;
  const file = settings.FNCTL_CA_BUNDLE_FILE;
  return {
    ...(npmRegistry === undefined ? {} : { npmRegistry }),
    ...(pypiIndex === undefined ? {} : { pypiIndex }),
    ...(file === undefined ? {} : { caBundle: await readFile(file, "utf8") }),
  };
}
