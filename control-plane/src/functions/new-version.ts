// Accepts a version: creates the function if it is new, the version and its queued build, and ends queued builds that it supersedes.
import { and, asc, count, eq, inArray, max, notInArray, sql } from "drizzle-orm";
import { PlatformError, toProblem } from "../contract/errors.ts";
import type { FunctionConfig } from "../contract/config.ts";
import type { BuildEvent } from "../contract/resources.ts";
import type { TenantCaps } from "../contract/tenant-caps.ts";
import type { Unit } from "../db/change.ts";
import { alias, blob, build, buildEvent, fn, version } from "../db/schema.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";
import { newId } from "../service/uuid7.ts";
import { lockCaps } from "../accounts/caps.ts";
import { openBuilds, refuseMoreFunctions, refuseMoreMinimum, refuseMoreQueued } from "./caps.ts";
import type { FunctionRow } from "./resources.ts";

export interface NewVersion {
  sourceDigest: string;
  config: FunctionConfig;
  promote: boolean;
  /** Id of the deploy request; if the build fails, its problem shows this id. */
  requestId?: string;
}
interface Target {
  tenantId: string;
  name: string;
}

/** Runs inside a transaction of the tenant. Throws NOT_FOUND for a source that does not exist, and QUOTA_EXCEEDED. */
export async function acceptVersion(unit: Unit, { tenantId, name }: Target, input: NewVersion, caps: TenantCaps) {
  const { tx } = unit;
  await useSource(tx, tenantId, input.sourceDigest);
  await lockCaps(tx, tenantId);
  const owner = await ensureFunction(tx, { tenantId, name }, input.config, caps);
  await refuseMoreMinimum(tx, tenantId, { functionId: owner.id, config: input.config }, caps);
  if (input.promote) await supersedeQueued(unit, owner);
  await refuseMoreQueued(tx, tenantId, caps);
  await tx
    .update(fn)
    .set({ runtime: input.config.runtime, nextVersion: owner.nextVersion + 1, revision: sql`${fn.revision} + 1` })
    .where(and(eq(fn.tenantId, tenantId), eq(fn.id, owner.id)));
  await dropOldest(tx, owner, caps);
  const { config, sourceDigest, promote, requestId } = input;
  const row = { id: newId(), tenantId, functionId: owner.id, number: owner.nextVersion, config, sourceDigest };
  const [made] = await tx.insert(version).values(row).returning();
  const [queued] = await tx.insert(build).values({ id: newId(), tenantId, versionId: row.id, promote, requestId }).returning();
  if (made === undefined || queued === undefined) throw new Error("insert returned no row");
  return { owner, version: made, build: queued };
}

/** Writes the source's row instead of only reading it, so that a sweep at the same time sees that the source is in use. */
async function useSource(tx: TenantTransaction, tenantId: string, digest: string): Promise<void> {
  const [source] = await tx
    .update(blob)
    .set({ seenAt: sql`now()` })
    .where(and(eq(blob.tenantId, tenantId), eq(blob.digest, digest)))
    .returning({ digest: blob.digest });
  if (source === undefined)
    throw new PlatformError("NOT_FOUND", "The source archive was not uploaded.", { hint: "PUT it to /v1/blobs/{digest} first." });
}

/** Makes the function if it is new, and locks its row until the transaction ends. */
async function ensureFunction(
  tx: TenantTransaction,
  { tenantId, name }: Target,
  config: FunctionConfig,
  caps: TenantCaps,
): Promise<FunctionRow> {
  const [known] = await tx
    .select()
    .from(fn)
    .where(and(eq(fn.tenantId, tenantId), eq(fn.name, name)))
    .for("update");
  if (known !== undefined) return known;
  await refuseMoreFunctions(tx, tenantId, caps);
  const [row] = await tx.insert(fn).values({ id: newId(), tenantId, name, runtime: config.runtime }).returning();
  if (row === undefined) throw new Error("insert returned no row");
  return row;
}

/**
 * Ends this function's builds that were to be live and have not begun, because the newer version will be live instead. Each gets the
 * reason.
 */
async function supersedeQueued({ tx, tell }: Unit, { tenantId, id: functionId, nextVersion }: FunctionRow): Promise<void> {
  const ofFunction = tx
    .select({ id: version.id })
    .from(version)
    .where(and(eq(version.tenantId, tenantId), eq(version.functionId, functionId), eq(version.state, "building")));
  const error = new PlatformError("SUPERSEDED", `Version ${nextVersion} was deployed before this one's build began.`, {
    hint: `Deploy this source again if it is to be live instead of version ${nextVersion}.`,
  });
  const ended = await tx
    .update(build)
    .set({ state: "superseded", problem: toProblem(error), endedAt: sql`now()` })
    .where(and(eq(build.tenantId, tenantId), eq(build.state, "queued"), eq(build.promote, true), inArray(build.versionId, ofFunction)))
    .returning();
  for (const { id: buildId, versionId, requestId } of ended) {
    await tx
      .update(version)
      .set({ state: "superseded" })
      .where(and(eq(version.tenantId, tenantId), eq(version.id, versionId), eq(version.state, "building")));
    const [last] = await tx
      .select({ seq: max(buildEvent.seq) })
      .from(buildEvent)
      .where(and(eq(buildEvent.tenantId, tenantId), eq(buildEvent.buildId, buildId)));
    const problem = toProblem(error, requestId ?? buildId);
    const event: BuildEvent = { seq: (last?.seq ?? -1) + 1, at: new Date().toISOString(), type: "end", state: "superseded", problem };
    await tx.insert(buildEvent).values({ tenantId, buildId, seq: event.seq, event });
    tell({ kind: "build", id: buildId });
  }
}

/**
 * Makes room for one more version by deleting versions that are neither live nor being built: first those that were never ready, then the
 * oldest. The sweep removes their images and layers.
 */
async function dropOldest(tx: TenantTransaction, { tenantId, id: functionId }: FunctionRow, caps: TenantCaps): Promise<void> {
  const own = and(eq(version.tenantId, tenantId), eq(version.functionId, functionId));
  const [total] = await tx.select({ n: count() }).from(version).where(own);
  const surplus = (total?.n ?? 0) + 1 - caps.versionsPerFunction;
  if (surplus <= 0) return;
  const live = tx
    .select({ id: alias.versionId })
    .from(alias)
    .where(and(eq(alias.tenantId, tenantId), eq(alias.functionId, functionId)));
  const open = openBuilds(tx, tenantId);
  const oldest = tx
    .select({ id: version.id })
    .from(version)
    .where(and(own, notInArray(version.id, live), notInArray(version.id, open)))
    .orderBy(eq(version.state, "ready"), asc(version.number))
    .limit(surplus);
  await tx.delete(version).where(and(own, inArray(version.id, oldest)));
}
