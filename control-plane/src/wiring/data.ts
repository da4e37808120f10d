// Everything that keeps data: database pools, stores, image layouts.
import { createBlobStore } from "../blobs/blob-store.ts";
import { createBuildStore } from "../builds/build-store.ts";
import { createPool } from "../db/pools.ts";
import { createSystemDatabase } from "../db/system-database.ts";
import { createTenantDatabase } from "../db/tenant-database.ts";
import { createFunctionStore } from "../functions/function-store.ts";
import { createLayerCache } from "../images/layer-cache.ts";
import { createLayoutStore } from "../images/layout-store.ts";
import type { ControlPlaneSettings } from "../settings/control-plane-settings.ts";

/** The system role does little, but must never wait for tenants' queries. */
const SYSTEM_CONNECTIONS = 4;

export function wireData(settings: ControlPlaneSettings, onError: (error: unknown) => void) {
  const pools = {
    app: createPool(settings.FNCTL_DB_APP, onError),
    system: createPool(settings.FNCTL_DB_SYSTEM, onError, SYSTEM_CONNECTIONS),
  };
  const db = createTenantDatabase(pools.app);
  const images = createLayoutStore(settings.FNCTL_IMAGES_DIR);
  return {
    db,
    system: createSystemDatabase(pools.system),
    functions: createFunctionStore(db),
    builds: createBuildStore(db),
    blobs: createBlobStore(db, settings.FNCTL_SPOOL_DIR),
    images,
    layers: createLayerCache(settings.FNCTL_LAYERS_DIR, images),
    async close(): Promise<void> {
      await Promise.all([pools.app.end(), pools.system.end()]);
    },
  };
}
export type Data = ReturnType<typeof wireData>;
