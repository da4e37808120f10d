// Only one control plane at a time acts, the owner: it holds a lease in Postgres, whose epoch fences off earlier owners (SECURITY fact 8,
// 4.1).
import { setTimeout as sleep } from "node:timers/promises";

export const OWNERSHIP = {
  /** Without a renewal the lease becomes free after this time. */
  ttlMs: 10_000,
  renewMs: 2_500,
  /** How often a waiting control plane tries to take the lease. */
  waitMs: 1_000,
} as const;

export interface OwnershipStore {
  /** The new epoch, or undefined while another holder's lease runs. The same holder takes its own lease again at once. */
  takeOwnership(holder: string, ttlMs: number): Promise<number | undefined>;
  /** False: a newer epoch exists, so this process is no longer the owner. */
  renewOwnership(epoch: number, ttlMs: number): Promise<boolean>;
  releaseOwnership(epoch: number): Promise<void>;
}
export interface OwnershipOptions {
  store: OwnershipStore;
  /** Unique name of this holder: that of the pod, or of the machine's only control plane. */
  holder: string;
  /**
   * Whether other control planes may take over. If so, ownership also counts as lost when the database is silent until the lease has run
   * out.
   */
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
    // While the database is unreachable, keep waiting.
    epoch = await store.takeOwnership(holder, OWNERSHIP.ttlMs).catch((error: unknown) => {
      options.onError(error);
      return undefined;
    });
  }
  return keep(options, epoch, begun);
}

/** Renews the lease. `since`: when the last successful call began; the lease runs at least from then. */
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
    // After a long pause of the process the lease may be gone: this renewal is then the first thing to run, and its answer ends the
    // process.
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
    /** Frees the lease, so that the next owner need not wait until it runs out. */
    async release(): Promise<void> {
      ended = true;
      clearTimeout(timer);
      await store.releaseOwnership(epoch);
    },
  };
}
