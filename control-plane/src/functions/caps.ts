// What a tenant may have, checked in the transaction that adds to it: two requests for the last one are answered one after the other.
import { and, count, eq, inArray, isNotNull, ne, or, sql, sum } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { FunctionConfig } from "../contract/config.ts";
import type { TenantCaps } from "../contract/tenant-caps.ts";
import { alias, build, fn, version } from "../db/schema.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";

/** Whoever counts and adds holds this until its transaction ends. Another tenant's requests wait for nothing. */
export async function holdCaps(tx: TenantTransaction, tenantId: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`fnctl caps ${tenantId}`}, 0))`);
}

/** `use` includes what is asked for. */
export function refuseAbove(what: string, use: number, cap: number, hint: string): void {
  if (use > cap) throw new PlatformError("QUOTA_EXCEEDED", `A tenant may have ${cap} ${what}; this would make ${use}.`, { hint });
}

export async function refuseMoreFunctions(tx: TenantTransaction, tenantId: string, caps: TenantCaps): Promise<void> {
  const [total] = await tx.select({ n: count() }).from(fn).where(eq(fn.tenantId, tenantId));
  refuseAbove("functions", (total?.n ?? 0) + 1, caps.functions, "Remove one that is not used: fnctl ls, fnctl rm.");
}

export async function refuseMoreQueued(tx: TenantTransaction, tenantId: string, caps: TenantCaps): Promise<void> {
  const [queued] = await tx
    .select({ n: count() })
    .from(build)
    .where(and(eq(build.tenantId, tenantId), eq(build.state, "queued")));
  refuseAbove("queued builds", (queued?.n ?? 0) + 1, caps.queuedBuilds, "Wait until some of them are done.");
}

/** `min` counts from when it is asked for: of each other function, the most that a version wants which is live or is to be. */
export async function refuseMoreMinimum(
  tx: TenantTransaction,
  tenantId: string,
  { functionId, config }: { functionId: string; config: FunctionConfig },
  caps: TenantCaps,
): Promise<void> {
  if (config.min === 0) return;
  const min = sql`(${version.config} ->> 'min')::bigint`;
  const wanted = tx
    .select({
      instances: sql<number>`max(${min})`.as("instances"),
      memoryMib: sql<number>`max(${min} * (${version.config} ->> 'memoryMib')::bigint)`.as("memory_mib"),
    })
    .from(version)
    .innerJoin(build, and(eq(build.tenantId, version.tenantId), eq(build.versionId, version.id)))
    .leftJoin(alias, and(eq(alias.tenantId, version.tenantId), eq(alias.versionId, version.id)))
    .where(and(eq(version.tenantId, tenantId), ne(version.functionId, functionId), or(isNotNull(alias.versionId), willBeLive)))
    .groupBy(version.functionId)
    .as("wanted");
  const [others] = await tx.select({ instances: sum(wanted.instances), memoryMib: sum(wanted.memoryMib) }).from(wanted);
  const hint = "Lower `min` here or of another function.";
  refuseAbove("instances kept by `min`", Number(others?.instances ?? 0) + config.min, caps.instances, hint);
  refuseAbove("MiB kept by `min`", Number(others?.memoryMib ?? 0) + config.min * config.memoryMib, caps.memoryMib, hint);
}
const willBeLive = and(eq(build.promote, true), inArray(build.state, ["queued", "running"]));
