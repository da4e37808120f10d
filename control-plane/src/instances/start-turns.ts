// Whose sandbox is started next. Starting one costs a third of a second of processor time, so few start at once, and tenants take turns:
// what one of them starts in bulk delays another's request by one start at most.

export interface StartTurnsOptions {
  /** Starts at a time. */
  parallel: number;
  /** Of them for one tenant: fewer, so that there is a place for others at once. */
  perTenant: number;
}
export interface StartTurn {
  /** Who it is for: a tenant, or "" for what is kept ready for everybody. */
  owner: string;
  /** Somebody waits for it; what is only kept ready comes after. */
  urgent: boolean;
}
interface Waiting extends StartTurn {
  number: number;
  begin(): void;
}

export function createStartTurns({ parallel, perTenant }: StartTurnsOptions) {
  const running = new Map<string, number>();
  const lastServed = new Map<string, number>();
  const waiting = new Set<Waiting>();
  let count = 0;
  let numbers = 0;
  const runningOf = (owner: string) => running.get(owner) ?? 0;
  /** Urgent ones first, then of whoever has fewest running, then of whoever was served longest ago, then in order. */
  const order = (a: Waiting, b: Waiting) =>
    Number(b.urgent) - Number(a.urgent) ||
    runningOf(a.owner) - runningOf(b.owner) ||
    (lastServed.get(a.owner) ?? 0) - (lastServed.get(b.owner) ?? 0) ||
    a.number - b.number;

  function next(): Waiting | undefined {
    if (count >= parallel) return undefined;
    let best: Waiting | undefined;
    for (const one of waiting) if (runningOf(one.owner) < perTenant && (best === undefined || order(one, best) < 0)) best = one;
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
    if (![...waiting].some((one) => one.owner === owner) && left <= 0) lastServed.delete(owner);
    pump();
  }

  return {
    /** Runs `work` when it is this start's turn. */
    async inTurn<T>(turn: StartTurn, work: () => Promise<T>): Promise<T> {
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
export type StartTurns = ReturnType<typeof createStartTurns>;
