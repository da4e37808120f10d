// The build row is the truth (SECURITY F10): a worker holds the epoch of the build it works on, and a write with another epoch changes
// nothing.
import { and, asc, eq, gt, max, sql } from "drizzle-orm";
import { PlatformError, toProblem, type Problem } from "../contract/errors.ts";
import type { BuildEvent } from "../contract/resources.ts";
import { DEFAULT_CAPS, type TenantCaps } from "../contract/tenant-caps.ts";
import { storableJson } from "../contract/text.ts";
import { PLATFORM, type Caller } from "../db/change.ts";
import { build, buildEvent, fn, tenant, version } from "../db/schema.ts";
import type { BuildJob } from "../db/system-database.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import { makeLayerRoom } from "../functions/caps.ts";
import { promote } from "../functions/live.ts";

export interface PublishedImage {
  imageDigest: string;
  imageBytes: number;
  layerBytes: number;
  layerDiffId: string;
  baseDigest: string;
  entry: { file: string; name?: string | undefined };
}

/** How a build ends. */
export interface BuildEnd {
  version: { functionId: string; id: string; number: number };
  problem?: Problem;
  /** Number of the build's last event. */
  seq: number;
}

export function createBuildStore(db: TenantDatabase, caps: Pick<TenantCaps, "layerBytes"> = DEFAULT_CAPS) {
  const by = ({ tenantId }: BuildJob): Caller => ({ tenantId, actor: PLATFORM });
  const own = (job: BuildJob, epoch: number) =>
    and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId), eq(build.epoch, epoch), eq(build.state, "running"));

  return {
    /** Everything a worker needs for a build that was taken; undefined when the build has ended or was removed. */
    async taken(job: BuildJob) {
      return db.read(job.tenantId, async (tx) => {
        const [found] = await tx
          .select({ build, version, fn, tenant })
          .from(build)
          .innerJoin(version, and(eq(version.tenantId, build.tenantId), eq(version.id, build.versionId)))
          .innerJoin(fn, and(eq(fn.tenantId, version.tenantId), eq(fn.id, version.functionId)))
          .innerJoin(tenant, eq(tenant.id, version.tenantId))
          .where(and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId), eq(build.state, "running")));
        const [last] = await tx
          .select({ seq: max(buildEvent.seq) })
          .from(buildEvent)
          .where(and(eq(buildEvent.tenantId, job.tenantId), eq(buildEvent.buildId, job.buildId)));
        return found === undefined ? undefined : { ...found, nextSeq: (last?.seq ?? -1) + 1 };
      });
    },

    /** Puts a taken build back into the queue for `pauseMs`, because a part of the platform that it needs is not reachable. */
    async release(job: BuildJob, epoch: number, pauseMs: number): Promise<void> {
      const retryAt = sql`now() + ${pauseMs} * interval '1 millisecond'`;
      await db.change(by(job), "build.requeue", ({ tx }) => tx.update(build).set({ state: "queued", retryAt }).where(own(job, epoch)));
    },

    /** Adds to the event stream if the build is still this worker's: two writers would use the same event numbers. */
    async append(job: BuildJob, epoch: number, events: readonly BuildEvent[]): Promise<void> {
      if (events.length === 0) return;
      await db.change(by(job), "build.progress", async ({ tx, tell }) => {
        const holders = await tx.select({ id: build.id }).from(build).where(own(job, epoch)).for("share");
        if (holders.length === 0) return;
        await tx
          .insert(buildEvent)
          .values(events.map((event) => ({ ...job, seq: event.seq, event: storableJson(event) })))
          .onConflictDoNothing();
        tell({ kind: "build", id: job.buildId });
      });
    },

    /**
     * Records the image in one conditional change, so of two racing workers exactly one wins. False: this worker was replaced. Throws
     * QUOTA_EXCEEDED.
     */
    async publish(job: BuildJob, epoch: number, versionId: string, image: PublishedImage): Promise<boolean> {
      return db.change(by(job), "build.image", async ({ tx, tell }) => {
        const holders = await tx.select({ id: build.id }).from(build).where(own(job, epoch)).for("update");
        if (holders.length === 0) return false;
        await makeLayerRoom(tx, job.tenantId, versionId, image.layerBytes, caps);
        await tx
          .update(version)
          .set({ ...image, state: "ready" })
          .where(and(eq(version.tenantId, job.tenantId), eq(version.id, versionId)));
        tell({ kind: "version", id: versionId }); // it is started once before it is live, with what it may reach
        return true;
      });
    },

    /**
     * The end of a build, exactly once, with its last event. Without a problem, `live` moves to the version if the deploy asked for that
     * and no later decision about `live` was made. undefined: this worker was replaced, or the build is gone. The problem holds some of the
     * tenant's own text, which is made storable here; otherwise the build could never end.
     */
    async finish(job: BuildJob, epoch: number, end: BuildEnd): Promise<"succeeded" | "failed" | "superseded" | undefined> {
      return db.change(by(job), "build.end", async (unit) => {
        const { tx } = unit;
        const [row] = await tx.select().from(build).where(own(job, epoch)).for("update");
        if (row === undefined) return undefined;
        const theirs = and(eq(version.tenantId, job.tenantId), eq(version.id, row.versionId));
        if (end.problem !== undefined) await tx.update(version).set({ state: "failed", imageDigest: null }).where(theirs);
        const newer = end.problem === undefined && row.promote ? await promote(unit, job.tenantId, end.version) : undefined;
        const problem = newer === undefined ? end.problem && storableJson(end.problem) : toProblem(newer, row.requestId ?? job.buildId);
        const state = newer === undefined ? (problem === undefined ? "succeeded" : "failed") : "superseded";
        await tx
          .update(build)
          .set({ state, problem: problem ?? null, endedAt: sql`now()` })
          .where(own(job, epoch));
        const { seq } = end;
        const event: BuildEvent = { seq, at: new Date().toISOString(), type: "end", state, ...(problem === undefined ? {} : { problem }) };
        await tx.insert(buildEvent).values({ ...job, seq, event });
        unit.tell({ kind: "build", id: job.buildId });
        return state;
      });
    },

    async get(job: BuildJob) {
      const [row] = await db.read(job.tenantId, (tx) =>
        tx
          .select()
          .from(build)
          .where(and(eq(build.tenantId, job.tenantId), eq(build.id, job.buildId))),
      );
      if (row === undefined) throw new PlatformError("NOT_FOUND", "There is no such build.");
      return row;
    },

    async events(job: BuildJob, after: number, limit: number): Promise<BuildEvent[]> {
      const rows = await db.read(job.tenantId, (tx) =>
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
