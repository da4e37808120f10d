// One control plane at a time acts: it holds a lease in Postgres, whose epoch fences off whoever held it before (SECURITY fact 8, 4.1).
import { setTimeout as sleep } from "node:timers/promises";

export const OWNERSHIP = {
  /** Without a renewal the lease is free after this. */
  ttlMs: 10_000,
  renewMs: 2_500,
  /** How often one that waits asks. */
  waitMs: 1_000,
} as const;

export interface OwnershipStore {
  /** The new epoch, or undefined while another holder's lease runs. The same holder takes its own lease again at once. */
  takeOwnership(holder: string, ttlMs: number): Promise<number | undefined>;
  /** False: the epoch is not the owner's any more. */
  renewOwnership(epoch: number, ttlMs: number): Promise<boolean>;
  releaseOwnership(epoch: number): Promise<void>;
}
export interface OwnershipOptions {
  store: OwnershipStore;
  /** Its name as long as its place is its own: of the pod, or of the machine's one control plane. */
  holder: string;
  /** Others may take over: then silence of the database is loss too, once the lease has run out. */
  hasRivals: boolean;
  onWaiting(): void;
  /** Called at most once; the process must end. */
  onLost(reason: string): void;
  onError(error: unknown): void;
}

/** Resolves when this process is the owner. */
export async function becomeOwner(options: OwnershipOptions): Promise<{ epoch: number; release(): Promise<void> }> {
  const { store, holder } = options;
  let begun = performance.now();
  let epoch = await store.takeOwnership(holder, OWNERSHIP.ttlMs);
  if (epoch === undefined) options.onWaiting();
  while (epoch === undefined) {
    await sleep(OWNERSHIP.waitMs);
    begun = performance.now();
    // A database that is away keeps everybody waiting.
    epoch = await store.takeOwnership(holder, OWNERSHIP.ttlMs).catch((error: unknown) => {
      options.onError(error);
      return undefined;
    });
  }
  return keep(options, epoch, begun);
}

/** `since`: when the last successful call began; the lease runs from then at the latest. */
function keep({ store, hasRivals, onLost, onError }: OwnershipOptions, epoch: number, since: number) {
  let last = since;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;

  function lose(reason: string): void {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    onLost(reason);
  }
  async function turn(): Promise<void> {
    const begun = performance.now();
    // A process that was paused may find its lease long gone: then it asks before it does anything else, and ends.
    const answer = await store.renewOwnership(epoch, OWNERSHIP.ttlMs).catch((error: unknown) => {
      onError(error);
      return undefined;
    });
    if (answer === false) return lose("another control plane has taken over");
    if (answer === true) last = begun;
    if (hasRivals && performance.now() - last > OWNERSHIP.ttlMs) return lose("the lease could not be renewed in time");
    if (!ended) timer = setTimeout(() => void turn(), OWNERSHIP.renewMs);
  }
  timer = setTimeout(() => void turn(), OWNERSHIP.renewMs);
  return {
    epoch,
    /** The next one need not wait for the lease to run out. */
    async release(): Promise<void> {
      ended = true;
      clearTimeout(timer);
      await store.releaseOwnership(epoch);
    },
  };
}
