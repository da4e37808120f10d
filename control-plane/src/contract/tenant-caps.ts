// How much of the shared resources one tenant may use, with the meaning of each number. An operator may set other numbers
// (`FNCTL_TENANT_CAPS`, JSON).
import { z } from "zod";

const most = (number: number) => z.int().min(1).max(number);

/**
 * Each cap is counted where the count is exact: stored objects in the transaction that adds one, instances and running builds by the owner.
 */
export const tenantCapsSchema = z
  .strictObject({
    functions: most(1_000_000),
    /** Versions kept of one function; above it the oldest are removed, except those that are live or being built. */
    versionsPerFunction: most(10_000),
    /** Source archives that are kept, bytes. */
    sourceBytes: most(1024 ** 4),
    /** Built layers of all versions that are ready, bytes; a build that would exceed it first drops its function's oldest versions. */
    layerBytes: most(1024 ** 4),
    tokens: most(10_000),
    /**
     * Instances at a time, those that start included (one more while a version is tried before it goes live), and the sum of `min` of all
     * versions that are live or will be.
     */
    instances: most(50_000),
    /** The same as the sum of the memory that they may use, MiB. */
    memoryMib: most(100_000_000),
    /** Builds under way, from the builder to the first start of the version. */
    runningBuilds: most(100),
    queuedBuilds: most(10_000),
  })
  .meta({ id: "TenantCaps" });
export type TenantCaps = z.infer<typeof tenantCapsSchema>;

export const DEFAULT_CAPS: TenantCaps = {
  functions: 1_000,
  versionsPerFunction: 100,
  sourceBytes: 2 * 1024 ** 3,
  layerBytes: 10 * 1024 ** 3,
  tokens: 1_000,
  instances: 200,
  memoryMib: 64 * 1024,
  runningBuilds: 4,
  queuedBuilds: 100,
};
