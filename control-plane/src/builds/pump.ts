// Takes build rows, one fair choice after the other, while there are places for builders. The queue only wakes it; a build whose message
// was lost is found at the next look.
import type { BuildJob, TenantBuilds } from "../db/system-database.ts";
import type { Slots } from "./slots.ts";

/** Time between two looks: a build whose message was lost is taken within it. */
export const LOOK_MS = 5_000;

export interface PumpOptions {
  slots: Slots;
  /** While there is little disk space, builds wait. */
  mayBegin(): Promise<boolean>;
  /** Takes the next build in the database, none of a tenant in `barred`. `known`: running builds that the rows may no longer show. */
  take(barred: string[], known: TenantBuilds[]): Promise<BuildJob | undefined>;
  /** Puts builds back into the queue that are marked as running and are not in `inHand`. */
  requeue(inHand: string[]): Promise<void>;
  /** Works on a build until it ends; `release` gives the builder's place back before that. */
  work(job: BuildJob, release: () => void): Promise<void>;
  onError(error: unknown): void;
}

export function createBuildPump({ slots, mayBegin, take, requeue, work, onError }: PumpOptions) {
  const inHand = new Map<string, { tenantId: string; done: Promise<void> }>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let again = false;
  let requeueDue = false;
  let closed = true;

  function begin(job: BuildJob): void {
    const giveBack = slots.take(job.tenantId);
    const release = () => {
      giveBack();
      wake();
    };
    const done = work(job, release)
      .catch(onError)
      .finally(() => {
        inHand.delete(job.buildId);
        release();
      });
    inHand.set(job.buildId, { tenantId: job.tenantId, done });
  }

  function known(): TenantBuilds[] {
    const held = [...inHand.values()];
    return slots.served().map(({ tenantId, agoMs }) => {
      const running = held.filter((one) => one.tenantId === tenantId).length;
      return { tenantId, running, agoMs };
    });
  }

  /** Runs between two takes only: a take under way may have marked a build that is not yet in `inHand`. */
  async function requeueLost(): Promise<void> {
    requeueDue = false;
    await requeue([...inHand.keys()]).catch(onError);
  }

  async function look(): Promise<void> {
    do {
      again = false;
      if (requeueDue) await requeueLost();
      while (!closed && slots.free() > 0 && (await mayBegin())) {
        const job = await take(slots.barred(), known());
        if (job === undefined) break;
        begin(job);
      }
    } while (again && !closed);
  }

  /** Looks again after a look that is under way, which may have missed the build that this call is about. */
  function wake(): void {
    again = true;
    if (closed) return;
    looking ??= look()
      .catch(onError)
      .finally(() => (looking = undefined));
  }

  function turn(): void {
    requeueDue = true;
    wake();
  }

  return {
    wake,
    /** Starts taking builds. No other worker may run, because builds that an earlier worker held are put back first. */
    run(): void {
      closed = false;
      turn();
      timer = setInterval(turn, LOOK_MS);
    },
    /** Takes no more builds. Those in hand pass to the next worker; the epoch in their rows keeps this worker from ending them. */
    async close(): Promise<void> {
      closed = true;
      clearInterval(timer);
      await looking;
    },
    /** Resolves when no build is in hand; for tests. */
    settled: async (): Promise<void> => void (await Promise.all([...inHand.values()].map(({ done }) => done))),
  };
}
export type BuildPump = ReturnType<typeof createBuildPump>;
