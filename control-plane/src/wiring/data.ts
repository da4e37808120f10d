// Everything that keeps data: database pools, stores, image layouts.
import { mkdir, readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { z } from "zod";
import { createTenantStore } from "../accounts/tenant-store.ts";
import { createTokenStore } from "../accounts/token-store.ts";
import { createBlobStore } from "../sources/blob-store.ts";
import { createBuildStore } from "../builds/build-store.ts";
import { DEFAULT_CAPS, tenantCapsSchema, type TenantCaps } from "../contract/tenant-caps.ts";
import { createPool } from "../db/pools.ts";
import { createSystemDatabase } from "../db/system-database.ts";
import { createTenantDatabase } from "../db/tenant-database.ts";
import { createFreeSpace } from "../service/free-space.ts";
import { createEgressRecords } from "../egress/records.ts";
import { createEgressUsage } from "../egress/usage.ts";
import { createOwnRules } from "../egress/own-rules.ts";
import { createFunctionStore } from "../functions/function-store.ts";
import { createLayerCache } from "../images/layer-cache.ts";
import { createLayoutStore, type ImageStore } from "../images/layout-store.ts";
import { createRegistryStore } from "../images/registry/store.ts";
import type { ControlPlaneSettings } from "./settings.ts";

/** The system role does little, but must never wait for tenants' queries. */
const SYSTEM_CONNECTIONS = 4;
/** The ownership lease must not wait for token look-ups either. */
const LEASE_CONNECTIONS = 1;
const MIN_FREE_MIB = { runsc: 1024, kubernetes: 256 };

export async function wireData(settings: ControlPlaneSettings, onError: (error: unknown) => void) {
  const pools = {
    app: createPool(settings.FNCTL_DB_APP, onError),
    system: createPool(settings.FNCTL_DB_SYSTEM, onError, SYSTEM_CONNECTIONS),
    lease: createPool(settings.FNCTL_DB_SYSTEM, onError, LEASE_CONNECTIONS),
  };
  const db = createTenantDatabase(pools.app);
  const caps = tenantCaps(settings);
  for (const folder of [settings.FNCTL_SPOOL_DIR, settings.FNCTL_LAYERS_DIR]) await mkdir(folder, { recursive: true });
  const images = await openImages(settings);
  const folders = [
    settings.FNCTL_SPOOL_DIR,
    settings.FNCTL_LAYERS_DIR,
    ...("FNCTL_IMAGES_DIR" in settings ? [settings.FNCTL_IMAGES_DIR] : []),
  ];
  const minFreeMib = settings.FNCTL_MIN_FREE_MIB ?? MIN_FREE_MIB[settings.FNCTL_DRIVER];
  const system = createSystemDatabase(pools.system);
  return {
    caps,
    freeSpace: createFreeSpace({ folders, minBytes: minFreeMib * 1024 ** 2 }),
    system,
    tenants: createTenantStore(system),
    lease: createSystemDatabase(pools.lease),
    tokens: createTokenStore(db, caps),
    functions: createFunctionStore(db, caps),
    ownRules: createOwnRules(db),
    egressRecords: createEgressRecords(db, onError),
    egressUsage: createEgressUsage(db, onError),
    builds: createBuildStore(db, caps),
    blobs: createBlobStore(db, settings.FNCTL_SPOOL_DIR, caps),
    images,
    layers: createLayerCache(settings.FNCTL_LAYERS_DIR, images),
    async close(): Promise<void> {
      await Promise.all(Object.values(pools).map((pool) => pool.end()));
    },
  };
}
export type Data = Awaited<ReturnType<typeof wireData>>;

/** On one machine a tenant's instances may use at most three quarters of its memory, unless the operator sets another cap. */
function tenantCaps({ FNCTL_TENANT_CAPS: given = {}, FNCTL_DRIVER: driver }: ControlPlaneSettings): TenantCaps {
  const machineMib = Math.floor((totalmem() / 1024 ** 2) * 0.75);
  const memoryMib = driver === "runsc" ? Math.min(DEFAULT_CAPS.memoryMib, machineMib) : DEFAULT_CAPS.memoryMib;
  return tenantCapsSchema.parse({ ...DEFAULT_CAPS, memoryMib, ...given });
}

const credentialsSchema = z.object({ username: z.string(), password: z.string() });

async function openImages(settings: ControlPlaneSettings): Promise<ImageStore> {
  if (settings.FNCTL_DRIVER === "runsc") return createLayoutStore(settings.FNCTL_IMAGES_DIR);
  const file = settings.FNCTL_REGISTRY_CREDENTIALS_FILE;
  return createRegistryStore({
    url: settings.FNCTL_REGISTRY_URL,
    spoolDir: settings.FNCTL_SPOOL_DIR,
    ...(file === undefined ? {} : { credentials: credentialsSchema.parse(JSON.parse(await readFile(file, "utf8"))) }),
  });
}
