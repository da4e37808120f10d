// Everything that the start of an instance needs to know about its version. Versions are immutable, so this is read once, and again only
// when the tenant's risk may have changed.
import { createHash } from "node:crypto";
import { allowedBy, type Allowed } from "../../contract/egress-rules.ts";
import { LIMITS } from "../../contract/limits.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import type { InitRequest } from "../../contract/runtime-protocol.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import { requiredIsolation } from "../../functions/isolation.ts";
import type { ImageRef } from "../../sandbox/driver.ts";

export interface VersionInfo {
  image: ImageRef;
  base: string;
  /** Size of the code layer's tar. */
  layerBytes: number;
  isolation: Isolation;
  /** The weakest isolation that the tenant may have. */
  floor: Isolation;
  memoryMib: ImageMemory;
  concurrency: number;
  min: number;
  max: number;
  idleTimeoutMs: number;
  init: InitRequest;
  /** What the version itself may reach; its tenant may say more, at any time. */
  egress: Allowed[];
}
type ImageMemory = 128 | 256 | 512 | 1024 | 2048;
/** The most versions kept in memory; beyond that the oldest is forgotten. */
const KEPT = 10_000;

export function createVersionInfo(system: SystemDatabase) {
  const known = new Map<string, VersionInfo>();
  /** Incremented whenever something is forgotten, so that a result whose read began before that is not cached. */
  let generation = 0;
  function forget(which: (info: VersionInfo) => boolean): void {
    generation++;
    for (const [id, info] of known) if (which(info)) known.delete(id);
  }
  return {
    /** Throws NOT_FOUND for a version that is not ready or not of this function. */
    async get(functionId: string, versionId: string): Promise<VersionInfo> {
      const cached = known.get(versionId);
      if (cached?.image.functionId === functionId) return cached;
      const begun = generation;
      const row = await system.readyVersion(versionId);
      if (row === undefined || row.fn.id !== functionId) throw new PlatformError("NOT_FOUND", "There is no such version.");
      const info = describe(row);
      if (known.size >= KEPT) known.delete(known.keys().next().value ?? "");
      if (generation === begun) known.set(versionId, info);
      return info;
    },
    forgetFunction: (functionId: string): void => forget(({ image }) => image.functionId === functionId),
    forgetTenant: (tenantId: string): void => forget(({ image }) => image.tenantId === tenantId),
    forgetAll: (): void => forget(() => true),
  };
}
export type VersionInfoCache = ReturnType<typeof createVersionInfo>;

function describe(row: NonNullable<Awaited<ReturnType<SystemDatabase["readyVersion"]>>>): VersionInfo {
  const { tenant, fn, version } = row;
  const { config, layerDiffId, baseDigest, entry } = version;
  if (layerDiffId === null || baseDigest === null || entry === null)
    throw new PlatformError("INTERNAL", "A ready version lacks its image.");
  const identity = { tenantId: tenant.id, functionId: fn.id, versionId: version.id, version: version.number };
  return {
    image: { ...identity, layer: layerDiffId, configHash: createHash("sha256").update(JSON.stringify(config)).digest("hex") },
    base: baseDigest,
    layerBytes: version.layerBytes ?? LIMITS.layerBytes,
    isolation: requiredIsolation(tenant.risk, config.isolation),
    floor: requiredIsolation(tenant.risk, undefined),
    memoryMib: config.memoryMib,
    concurrency: config.concurrency,
    min: config.min,
    max: config.max,
    idleTimeoutMs: config.idleTimeoutMs,
    init: {
      ...identity,
      tenant: tenant.slug,
      function: fn.name,
      entry,
      env: config.env,
      limits: { timeoutMs: config.timeoutMs, memoryMib: config.memoryMib, concurrency: config.concurrency },
    },
    egress: allowedBy(config.egress),
  };
}
