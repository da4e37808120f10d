// Removes the sources, images, unpacked layers and logs that deleted functions and failed builds left. Level-triggered: each turn compares
// everything that is stored with the database's list of what is used, so remains of a crash or an error do not stay for ever.
import type { BlobStore } from "../sources/blob-store.ts";
import { LIMITS } from "../contract/limits.ts";
import type { FunctionStore } from "../functions/function-store.ts";
import type { LayerCache } from "../images/layer-cache.ts";
import type { ImageStore } from "../images/layout-store.ts";
import type { CollectorClient } from "../logs/read/collector-client.ts";

const TURN_MS = 10 * 60_000;
/** Unused files stay this long after they were last written or asked for, which is far longer than a deploy takes. */
const SWEEP_GRACE_MS = LIMITS.buildMs * 6;

export interface SweepDeps {
  tenantIds(): Promise<string[]>;
  functions: Pick<FunctionStore, "used" | "ids">;
  blobs: Pick<BlobStore, "sweep" | "sweepSpool">;
  images: Pick<ImageStore, "sweep">;
  layers: Pick<LayerCache, "sweep">;
  logs: Pick<CollectorClient, "owners" | "remove">;
  onError(error: unknown): void;
}

export function createSweep(deps: SweepDeps) {
  const { functions, blobs, images, layers, logs, onError } = deps;

  async function sweepTenant(tenantId: string, before: number): Promise<void> {
    await blobs.sweep(tenantId, new Date(before));
    await images.sweep(tenantId, before, () => functions.used(tenantId));
    await layers.sweep(tenantId, before, (await functions.used(tenantId)).layers);
  }

  /** Removes logs without a function: its instances may have written for a moment after its log was removed. */
  async function sweepLogs(): Promise<void> {
    const owners = Map.groupBy(await logs.owners(), ({ tenantId }) => tenantId); // before `functions.ids`: a newer log is not in this list
    for (const tenantId of await deps.tenantIds()) {
      const kept = owners.get(tenantId) ?? [];
      if (kept.length === 0) continue;
      const known = await functions.ids(tenantId);
      for (const { functionId } of kept) if (!known.has(functionId)) await logs.remove(tenantId, functionId);
    }
  }

  /** Sweeps everything once. An error for one tenant does not stop the sweep of the others. */
  async function turn(before: number): Promise<void> {
    await blobs.sweepSpool(before).catch(onError);
    for (const tenantId of await deps.tenantIds()) await sweepTenant(tenantId, before).catch(onError);
    await sweepLogs().catch(onError);
  }

  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  return {
    turn,
    start(): void {
      timer = setInterval(() => {
        running = running.then(() => turn(Date.now() - SWEEP_GRACE_MS)).catch(onError);
      }, TURN_MS);
    },
    async close(): Promise<void> {
      clearInterval(timer);
      await running;
    },
  };
}
