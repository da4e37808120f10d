// Everything that builds: worker, queue, and the loop that puts lost builds back.
import { readFile } from "node:fs/promises";
import { createBuildQueue } from "../builds/queue.ts";
import { createBuildWorker, type RegistrySettings } from "../builds/worker.ts";
import type { ControlPlaneSettings } from "../settings/control-plane-settings.ts";
import type { Data } from "./data.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** A build whose job the queue lost is put back from its row within this time. */
const REQUEUE_MS = 10_000;

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
  const queue = await createBuildQueue({ connection: settings.FNCTL_DB_JOBS, work: (job) => worker.run(job), onError });
  const open = async () => (await data.system.openBuilds()).map(({ id, tenantId }) => ({ tenantId, buildId: id }));
  const requeue = async () => {
    for (const job of await open()) await queue.enqueue(job);
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    enqueue: (job: { tenantId: string; buildId: string }) => void queue.enqueue(job).catch(onError),
    async run(): Promise<void> {
      await queue.takeOver(await open());
      await queue.run();
      timer = setInterval(() => void requeue().catch(onError), REQUEUE_MS);
    },
    async close(): Promise<void> {
      clearInterval(timer);
      await queue.close();
    },
  };
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
