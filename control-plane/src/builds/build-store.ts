// The build row is the truth (SECURITY F10): whoever works on a build holds its epoch, and a write with another epoch touches nothing.
import { and, asc, eq, gt, inArray, max, sql } from "drizzle-orm";
import { PlatformError, type Problem } from "../contract/errors.ts";
import type { BuildEvent } from "../contract/resources.ts";
import { build, buildEvent, fn, tenant, version } from "../db/schema.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { pointLive } from "../functions/function-store.ts";
import { notify } from "../functions/notify.ts";

export interface BuildJob {
  tenantId: string;
  buildId: string;
}
export interface PublishedImage {
  imageDigest: string;
  imageBytes: number;
  layerBytes: number;
  layerDiffId: string;
  baseDigest: string;
  entry: { file: string; name?: string | undefined };
}

export function createBuildStore(db: TenantDatabase) {
  const own = (job: BuildJob, epoch: number) =>
    and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId), eq(build.epoch, epoch), eq(build.state, "running"));

  return {
    /** Takes the build; undefined when it is at its end or gone. Every earlier holder is fenced off. */
    async claim(job: BuildJob) {
      return db.asTenant(job.tenantId, async (tx) => {
        const [row] = await tx
          .update(build)
          .set({
            state: "running",
            epoch: sql`${build.epoch} + 1`,
            takeovers: sql`${build.takeovers} + (${build.state} = 'running')::int`,
            startedAt: sql`coalesce(${build.startedAt}, now())`,
          })
          .where(and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId), inArray(build.state, ["queued", "running"])))
          .returning();
        if (row === undefined) return undefined;
        const [found] = await tx
          .select({ version, fn, tenant })
          .from(version)
          .innerJoin(fn, and(eq(fn.tenantId, version.tenantId), eq(fn.id, version.functionId)))
          .innerJoin(tenant, eq(tenant.id, version.tenantId))
          .where(and(eq(version.tenantId, job.tenantId), eq(version.id, row.versionId)));
        const [last] = await tx
          .select({ seq: max(buildEvent.seq) })
          .from(buildEvent)
          .where(and(eq(buildEvent.tenantId, job.tenantId), eq(buildEvent.buildId, job.buildId)));
        return found === undefined ? undefined : { build: row, ...found, nextSeq: (last?.seq ?? -1) + 1 };
      });
    },

    /** Gives a claimed build back, to be taken again later: a part of the platform that it needs is away. */
    async release(job: BuildJob, epoch: number): Promise<void> {
      await db.asTenant(job.tenantId, (tx) => tx.update(build).set({ state: "queued" }).where(own(job, epoch)));
    },

    /** Adds to the event stream, while the build is this worker's: two writers would number their events alike. */
    async append(job: BuildJob, epoch: number, events: readonly BuildEvent[]): Promise<void> {
      if (events.length === 0) return;
      await db.asTenant(job.tenantId, async (tx) => {
        const holders = await tx.select({ id: build.id }).from(build).where(own(job, epoch)).for("share");
        if (holders.length === 0) return;
        await tx
          .insert(buildEvent)
          .values(events.map((event) => ({ ...job, seq: event.seq, event })))
          .onConflictDoNothing();
        await notify(tx, { kind: "build", id: job.buildId });
      });
    },

    /** Records the image: one conditional change, so of two racing workers exactly one wins. False: this worker was replaced. */
    async publish(job: BuildJob, epoch: number, versionId: string, image: PublishedImage): Promise<boolean> {
      return db.asTenant(job.tenantId, async (tx) => {
        const holders = await tx.select({ id: build.id }).from(build).where(own(job, epoch)).for("update");
        if (holders.length === 0) return false;
        await tx
          .update(version)
          .set({ ...image, state: "ready" })
          .where(and(eq(version.tenantId, job.tenantId), eq(version.id, versionId)));
        return true;
      });
    },

    /** The end of a build, exactly once; on success `live` moves if that was asked for. */
    async finish(
      job: BuildJob,
      epoch: number,
      result: { problem?: Problem; promote?: { functionId: string; versionId: string } },
      event: BuildEvent,
    ): Promise<boolean> {
      return db.asTenant(job.tenantId, async (tx) => {
        const [row] = await tx
          .update(build)
          .set({ state: result.problem === undefined ? "succeeded" : "failed", problem: result.problem ?? null, endedAt: sql`now()` })
          .where(own(job, epoch))
          .returning();
        if (row === undefined) return false;
        if (result.problem !== undefined) {
          await tx
            .update(version)
            .set({ state: "failed", imageDigest: null })
            .where(and(eq(version.tenantId, job.tenantId), eq(version.id, row.versionId)));
        } else if (result.promote !== undefined && row.promote)
          await pointLive(tx, job.tenantId, result.promote.functionId, result.promote.versionId);
        await tx.insert(buildEvent).values({ ...job, seq: event.seq, event });
        await notify(tx, { kind: "build", id: job.buildId });
        return true;
      });
    },

    async get(job: BuildJob) {
      const [row] = await db.asTenant(job.tenantId, (tx) =>
        tx
          .select()
          .from(build)
          .where(and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId))),
      );
      if (row === undefined) throw new PlatformError("NOT_FOUND", "There is no such build.");
      return row;
    },

    async events(job: BuildJob, after: number, limit: number): Promise<BuildEvent[]> {
      const rows = await db.asTenant(job.tenantId, (tx) =>
        tx
          .select({ event: buildEvent.event })
          .from(buildEvent)
          .where(and(eq(buildEvent.tenantId, job.tenantId), eq(buildEvent.buildId, job.buildId), gt(buildEvent.seq, after)))
          .orderBy(asc(buildEvent.seq))
          .limit(limit),
      );
      return rows.map((row) => row.event);
    },
  };
}
export type BuildStore = ReturnType<typeof createBuildStore>;
