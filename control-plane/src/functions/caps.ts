// Checks a tenant's caps in the transaction that adds to them, so that of two requests for the last place only one succeeds.
import { and, asc, count, eq, inArray, isNotNull, ne, notInArray, or, sql, sum } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { FunctionConfig } from "../contract/config.ts";
import type { TenantCaps } from "../contract/tenant-caps.ts";
import { alias, build, fn, version } from "../db/schema.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";
import { lockCaps, refuseAbove } from "../accounts/caps.ts";

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

/** `min` counts as soon as it is asked for: each other function counts with the largest `min` of its versions that are live or will be. */
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

/** Versions whose build has not ended. */
export const openBuilds = (tx: TenantTransaction, tenantId: string) =>
  tx
    .select({ id: build.versionId })
    .from(build)
    .where(and(eq(build.tenantId, tenantId), inArray(build.state, ["queued", "running"])));

/** Makes room for a version's layer of `bytes` by deleting older versions of its function that are ready and not live, the oldest first. */
export async function makeLayerRoom(
  tx: TenantTransaction,
  tenantId: string,
  versionId: string,
  bytes: number,
  caps: Pick<TenantCaps, "layerBytes">,
): Promise<void> {
  await lockCaps(tx, tenantId);
  const ready = and(eq(version.tenantId, tenantId), eq(version.state, "ready"), ne(version.id, versionId));
  const [kept] = await tx
    .select({ bytes: sum(version.layerBytes) })
    .from(version)
    .where(ready);
  let surplus = Number(kept?.bytes ?? 0) + bytes - caps.layerBytes;
  if (surplus <= 0) return;
  const own = tx
    .select({ id: version.functionId })
    .from(version)
    .where(and(eq(version.tenantId, tenantId), eq(version.id, versionId)));
  const live = tx.select({ id: alias.versionId }).from(alias).where(eq(alias.tenantId, tenantId));
  const open = openBuilds(tx, tenantId);
  const spare = await tx
    .select({ id: version.id, bytes: version.layerBytes })
    .from(version)
    .where(and(ready, inArray(version.functionId, own), notInArray(version.id, live), notInArray(version.id, open)))
    .orderBy(asc(version.number));
  for (const { id, bytes: freed } of spare) {
    if (surplus <= 0) break;
    await tx.delete(version).where(and(eq(version.tenantId, tenantId), eq(version.id, id)));
    surplus -= freed ?? 0;
  }
  if (surplus > 0)
    throw new PlatformError("QUOTA_EXCEEDED", `A tenant's versions may have ${caps.layerBytes} bytes of layers in all.`, {
      hint: "Remove functions that are not used, or leave dependencies out that are not needed.",
    });
}
