// Whose turn it is where only so many may work at a time: owners take turns, so that what one of them asks for in bulk delays another's one
// request by one piece of work at most. Starts of sandboxes and uploads go by it.
import { PlatformError } from "../contract/errors.ts";

export interface FairQueueOptions {
  /** Pieces of work at a time. */
  parallel: number;
  /** Of them for one owner: fewer, so that there is a place for others at once. */
  perOwner: number;
  /** Of one owner that may wait; one more is refused (RATE_LIMITED). Absent: what waits is bounded elsewhere. */
  mostWaiting?: number;
}
export interface Turn {
  /** Who it is for: a tenant, or "" for what is kept ready for everybody. */
  owner: string;
  /** Somebody waits for it; what is only kept ready comes after. */
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
  let count = 0;
  let numbers = 0;
  const runningOf = (owner: string) => running.get(owner) ?? 0;
  const waitingOf = (owner: string) => [...waiting].filter((one) => one.owner === owner).length;
  /** Urgent ones first, then of whoever has fewest running, then of whoever was served longest ago, then in order. */
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
    /** Runs `work` when it is this one's turn. */
    async run<T>(turn: Turn, work: () => Promise<T>): Promise<T> {
      if (mostWaiting !== Number.POSITIVE_INFINITY && waitingOf(turn.owner) >= mostWaiting)
        throw new PlatformError("RATE_LIMITED", `So many of these are under way that no more than ${mostWaiting} may wait.`, {
          hint: "Try again in a moment.",
        });
      await new Promise<void>((begin) => {
        waiting.add({ ...turn, number: ++numbers, begin });
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
