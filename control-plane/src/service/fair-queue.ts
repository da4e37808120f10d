// Decides which work runs next where only a few pieces may run at a time. Tenants take turns, so that bulk requests of one tenant delay a
// single request of another by one piece of work at most. It is used for starts of sandboxes and for uploads.
import { PlatformError } from "../contract/errors.ts";

export interface FairQueueOptions {
  /** How many pieces of work run at a time. */
  parallel: number;
  /** How many of them may belong to one tenant (`owner`): fewer than all, so that another tenant's work can start at once. */
  perOwner: number;
  /** How many pieces of one tenant may wait; more are refused (RATE_LIMITED). Absent if the number is limited elsewhere. */
  mostWaiting?: number;
}
export interface Turn {
  /** The tenant that the work is for, or "" for sandboxes that are kept ready for all tenants. */
  owner: string;
  /** Whether a request waits for the work; other work comes after it. */
  urgent: boolean;
}
interface Waiting extends Turn {
  number: number;
  begin(): void;
}

export function createFairQueue({ parallel, perOwner, mostWaiting = Number.POSITIVE_INFINITY }: FairQueueOptions) {
  const running = new Map<string, number>();
  const lastServed = new Map<string, number>();
  const waiting = new Set<Waiting>();
  const waitingBy = new Map<string, number>();
  let count = 0;
  let numbers = 0;
  const runningOf = (owner: string) => running.get(owner) ?? 0;
  const waitingOf = (owner: string) => waitingBy.get(owner) ?? 0;
  function countWaiting(owner: string, change: number): void {
    const now = waitingOf(owner) + change;
    if (now > 0) waitingBy.set(owner, now);
    else waitingBy.delete(owner);
  }
  /** Urgent work first, then the tenant with the fewest running pieces, then the tenant served longest ago, then the oldest piece. */
  const order = (a: Waiting, b: Waiting) =>
    Number(b.urgent) - Number(a.urgent) ||
    runningOf(a.owner) - runningOf(b.owner) ||
    (lastServed.get(a.owner) ?? 0) - (lastServed.get(b.owner) ?? 0) ||
    a.number - b.number;

  function next(): Waiting | undefined {
    if (count >= parallel) return undefined;
    let best: Waiting | undefined;
    for (const one of waiting) if (runningOf(one.owner) < perOwner && (best === undefined || order(one, best) < 0)) best = one;
    return best;
  }
  function pump(): void {
    for (let one = next(); one !== undefined; one = next()) {
      waiting.delete(one);
      countWaiting(one.owner, -1);
      count++;
      running.set(one.owner, runningOf(one.owner) + 1);
      lastServed.set(one.owner, ++numbers);
      one.begin();
    }
  }
  function leave(owner: string): void {
    count--;
    const left = runningOf(owner) - 1;
    if (left > 0) running.set(owner, left);
    else running.delete(owner);
    if (left <= 0 && waitingOf(owner) === 0) lastServed.delete(owner);
    pump();
  }

  return {
    /** Runs `work` when its turn has come. */
    async run<T>(turn: Turn, work: () => Promise<T>): Promise<T> {
      if (mostWaiting !== Number.POSITIVE_INFINITY && waitingOf(turn.owner) >= mostWaiting)
        throw new PlatformError("RATE_LIMITED", `So many of these are under way that no more than ${mostWaiting} may wait.`, {
          hint: "Try again in a moment.",
        });
      await new Promise<void>((begin) => {
        waiting.add({ ...turn, number: ++numbers, begin });
        countWaiting(turn.owner, 1);
        pump();
      });
      try {
        return await work();
      } finally {
        leave(turn.owner);
      }
    },
    waiting: (): number => waiting.size,
  };
}
export type FairQueue = ReturnType<typeof createFairQueue>;
