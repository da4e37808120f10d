// pg-boss only wakes the build pump; the build rows decide which build is taken (SECURITY F10). A message that is lost, late or delivered
// twice changes nothing. With `notify` it polls every 30 s and fetches again only then, so the pump, once woken, takes rows until none is
// left.
import { PgBoss } from "pg-boss";

export const BUILD_QUEUE = "build";
export const BUILD_QUEUE_OPTIONS = {
  notify: true,
  retryLimit: 0,
  expireInSeconds: 60,
  deleteAfterSeconds: 60,
  policy: "exclusive",
} as const;
/** Messages that are taken at once; they carry no content. */
const BATCH = 100;

export interface BuildQueueOptions {
  connection: string;
  onWake(): void;
  onError(error: unknown): void;
}

export async function createBuildQueue(options: BuildQueueOptions) {
  const boss = new PgBoss({
    connectionString: options.connection,
    migrate: false,
    createSchema: false,
    schedule: false,
    useListenNotify: true,
    max: 4,
  });
  boss.on("error", options.onError);
  await boss.start();
  return {
    /** Sends one message for each build, however often this is called for it. */
    tell: async ({ buildId }: { buildId: string }): Promise<void> => void (await boss.send(BUILD_QUEUE, {}, { singletonKey: buildId })),
    run: async (): Promise<void> =>
      void (await boss.work(BUILD_QUEUE, { batchSize: BATCH, pollingIntervalSeconds: 2 }, async () => options.onWake())),
    async close(): Promise<void> {
      await boss.stop({ graceful: true, timeout: 5_000 });
    },
  };
}
export type BuildQueue = Awaited<ReturnType<typeof createBuildQueue>>;
