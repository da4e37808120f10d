// Takes build rows, one fair choice after the other, while there are places for builders. The queue only wakes it; what it did not hear
// of, or what was lost on the way, it finds at its next look.
import type { BuildJob, TenantBuilds } from "../db/system-database.ts";
import type { Slots } from "./slots.ts";

/** A build that nobody was told of is taken within this time. */
export const LOOK_MS = 5_000;

export interface PumpOptions {
  slots: Slots;
  /** While there is little disk space, builds wait. */
  mayBegin(): Promise<boolean>;
  /** The next build, taken in the database; none of a tenant in `barred`. `known`: what the rows may no longer tell. */
  take(barred: string[], known: TenantBuilds[]): Promise<BuildJob | undefined>;
  /** Puts back what is taken and not in hand. */
  requeue(inHand: string[]): Promise<void>;
  /** Works on it to its end; `release` gives the builder's place back before that. */
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

  /** Between two takes: of one that is under way nobody could say yet that it is in hand. */
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

  /** Looks once more after a look that is under way: what it was called for may have come too late for that one. */
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
    /** From now on: for the only worker there is. What an earlier one held is put back first. */
    run(): void {
      closed = false;
      turn();
      timer = setInterval(turn, LOOK_MS);
    },
    /** Takes no more. What is in hand is the next worker's; its row's epoch keeps this one from ending it. */
    async close(): Promise<void> {
      closed = true;
      clearInterval(timer);
      await looking;
    },
    /** Resolves when nothing is in hand; for tests. */
    settled: async (): Promise<void> => void (await Promise.all([...inHand.values()].map(({ done }) => done))),
  };
}
export type BuildPump = ReturnType<typeof createBuildPump>;
