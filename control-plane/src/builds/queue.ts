// The build queue: pg-boss wakes a worker; the row decides. A build that the queue lost is put back from its row.
import { PgBoss } from "pg-boss";
import { z } from "zod";

export const BUILD_QUEUE = "build";
/** pg-boss's defaults break the deploy goal and the recovery goal: polling every 2 s, no heartbeat, a look every minute. */
export const BUILD_QUEUE_OPTIONS = {
  notify: true,
  heartbeatSeconds: 10,
  retryLimit: 5,
  retryDelay: 0,
  expireInSeconds: 900,
  deleteAfterSeconds: 3600,
  policy: "exclusive",
} as const;
/** Builds at a time on one machine. */
export const PARALLEL_BUILDS = 2;

const jobSchema = z.strictObject({ tenantId: z.uuid(), buildId: z.uuid() });
export type QueuedBuild = z.infer<typeof jobSchema>;

export interface BuildQueueOptions {
  connection: string;
  work(job: QueuedBuild, signal: AbortSignal): Promise<void>;
  onError(error: unknown): void;
}

export async function createBuildQueue(options: BuildQueueOptions) {
  const boss = new PgBoss({
    connectionString: options.connection,
    migrate: false,
    createSchema: false,
    schedule: false,
    useListenNotify: true,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
    max: 4,
  });
  boss.on("error", options.onError);
  await boss.start();
  return {
    /** At most one waiting or active job per build (policy `exclusive`): a second enqueue changes nothing. */
    async enqueue(job: QueuedBuild): Promise<void> {
      await boss.send(BUILD_QUEUE, job, { singletonKey: job.buildId });
    },
    /**
     * For the only owner, at its start: whoever held these builds is gone, so nobody waits for the heartbeats to be missed. Should the
     * old worker live after all, the row's epoch keeps it from ending the build.
     */
    async takeOver(builds: readonly QueuedBuild[]): Promise<void> {
      for (const job of builds) {
        const held = await boss.findJobs(BUILD_QUEUE, { key: job.buildId });
        const ids = held.filter(({ state }) => state === "active" || state === "retry").map(({ id }) => id);
        if (ids.length > 0) await boss.deleteJob(BUILD_QUEUE, ids);
        await boss.send(BUILD_QUEUE, job, { singletonKey: job.buildId });
      }
    },
    async run(): Promise<void> {
      await boss.work(
        BUILD_QUEUE,
        { localConcurrency: PARALLEL_BUILDS, pollingIntervalSeconds: 2, heartbeatRefreshSeconds: 3 },
        async (jobs: { data: unknown; signal: AbortSignal }[]) => {
          for (const job of jobs) await options.work(jobSchema.parse(job.data), job.signal);
        },
      );
    },
    async close(): Promise<void> {
      await boss.stop({ graceful: true, timeout: 5_000 });
    },
  };
}
export type BuildQueue = Awaited<ReturnType<typeof createBuildQueue>>;
