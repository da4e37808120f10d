// What one tenant may have of what all share: one table of numbers with their meaning. An operator may set others (`FNCTL_TENANT_CAPS`, JSON).
import { z } from "zod";

const most = (number: number) => z.int().min(1).max(number);

/** Counted where it is exact: objects in the transaction that makes one more, instances and running builds by their only owner. */
export const tenantCapsSchema = z
  .strictObject({
    functions: most(1_000_000),
    /** Of one function; what is more than this goes, oldest first, but for what is live or being built. */
    versionsPerFunction: most(10_000),
    /** Source archives that are kept, bytes. */
    sourceBytes: most(1024 ** 4),
    /** Built layers of all versions that are ready, bytes; a build that would go above it first drops its function's oldest versions. */
    layerBytes: most(1024 ** 4),
    tokens: most(10_000),
    /** Instances at a time, those that start included (one more while a version is tried before it goes live), and the sum of `min` of what is live or will be. */
    instances: most(50_000),
    /** The same as the sum of the memory that they may use, MiB. */
    memoryMib: most(100_000_000),
    /** Builds that are taken, from the builder to the first start of the version. */
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
