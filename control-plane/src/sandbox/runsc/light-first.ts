// Tenants that used little processor time go first. Equal weights share time fairly over seconds, but within a tenth of a second, threads
// of one sandbox that hand work to each other can keep a processor from another tenant's (systrap's do so at each system call). So every
// tenant that uses more than half of an equal share yields to those that use less (sched(7), SCHED_IDLE, for a whole group). The tenants
// that go first leave at least an equal share to each of the others; those that yield divide the rest by weight, as before.
import { setImmediate as nextTurn } from "node:timers/promises";

export const LIGHT_FIRST = {
  /** How often tenants are judged, milliseconds; until the next time a light tenant goes first, however much it uses. */
  everyMs: 250,
  /** Weight of the last look in a tenant's average use. */
  newest: 0.4,
  /** A tenant is light if it uses at most this part of an equal share, */
  ofEqual: 0.5,
  /**
   * or at most this part of its fair share (`shareOf`), if that is more: hundreds of small tenants make an equal share smaller than their
   * own use.
   */
  ofFair: 0.25,
  /** Tenants are looked at only while sandboxes use this part of the machine, and for so many turns after that. */
  busy: 0.4,
  turnsAfter: 8,
  /** A tenant whose average use is below this, in processors, is forgotten and no longer makes the others' shares smaller. */
  forgotten: 0.01,
  /** Instances that are looked at before the event loop gets a turn: a look takes about 20 us. */
  atOnce: 100,
} as const;

export interface LightFirstOptions {
  processors: number;
  /** Seconds of processor time that all sandboxes ever used; undefined if the kernel does not count it. */
  total(): number | undefined;
  /** The same for one instance; undefined when it is gone. */
  of(tenantId: string, id: string): number | undefined;
  /** Called when the result of `isHeavy` changes for a tenant. */
  judged(tenantId: string): void;
}

/** The share that a tenant can have if all get the same, and unused parts are divided among the others (max-min fairness). */
export function shareOf(used: Iterable<number>, processors: number): number {
  const amounts = [...used].toSorted((a, b) => a - b);
  let left = processors;
  let share = processors;
  for (const [at, amount] of amounts.entries()) {
    share = left / (amounts.length - at);
    if (amount >= share) return share;
    left -= amount;
  }
  return share;
}
/** Tenants that must yield, given how many processors each used lately. */
export function heavyOf(used: ReadonlyMap<string, number>, processors: number): Set<string> {
  const equal = processors / Math.max(1, used.size);
  const limit = Math.max(equal * LIGHT_FIRST.ofEqual, shareOf(used.values(), processors) * LIGHT_FIRST.ofFair);
  return new Set([...used].filter(([, amount]) => amount > limit).map(([tenantId]) => tenantId));
}

export function createLightFirst({ processors, total, of, judged }: LightFirstOptions) {
  const instances = new Map<string, { tenantId: string; seconds: number }>();
  /** Seconds that each tenant's instances used which ended since the last look. */
  const gone = new Map<string, number>();
  const used = new Map<string, number>();
  let heavy = new Set<string>();
  let before = { at: performance.now(), total: total() ?? 0 };
  /** For how many more turns instances are looked at. */
  let looking = 0;
  let timer: NodeJS.Timeout | undefined;

  const add = (to: Map<string, number>, tenantId: string, amount: number) => to.set(tenantId, (to.get(tenantId) ?? 0) + amount);
  /** Seconds that the instance used since the last look. */
  function taken(id: string): number {
    const known = instances.get(id);
    const now = known && of(known.tenantId, id);
    if (known === undefined || now === undefined || now < known.seconds) return 0;
    const seconds = now - known.seconds;
    known.seconds = now;
    return seconds;
  }
  /** Seconds that each tenant's instances used since the last look. */
  async function look(): Promise<Map<string, number>> {
    const seconds = new Map(gone);
    gone.clear();
    for (const [at, [id, { tenantId }]] of [...instances].entries()) {
      add(seconds, tenantId, taken(id));
      if (at % LIGHT_FIRST.atOnce === LIGHT_FIRST.atOnce - 1) await nextTurn();
    }
    return seconds;
  }
  function remember(seconds: ReadonlyMap<string, number>, elapsed: number): void {
    const { newest, forgotten } = LIGHT_FIRST;
    for (const tenantId of new Set([...used.keys(), ...seconds.keys()])) {
      const amount = (used.get(tenantId) ?? 0) * (1 - newest) + ((seconds.get(tenantId) ?? 0) / elapsed) * newest;
      if (amount < forgotten) used.delete(tenantId);
      else used.set(tenantId, amount);
    }
  }
  function judge(): void {
    const now = heavyOf(used, processors);
    const changed = [...now, ...heavy].filter((tenantId) => now.has(tenantId) !== heavy.has(tenantId));
    heavy = now;
    for (const tenantId of changed) judged(tenantId);
  }
  async function turn(): Promise<void> {
    const [at, all] = [performance.now(), total() ?? 0];
    const elapsed = (at - before.at) / 1000;
    const busy = all - before.total > LIGHT_FIRST.busy * processors * elapsed;
    before = { at, total: all };
    const wasLooking = looking > 0;
    looking = busy ? LIGHT_FIRST.turnsAfter : Math.max(0, looking - 1);
    // On a machine that is not busy no sandbox waits for a processor, so no tenant needs to be judged and a thousand files need not be
    // read. The first look only takes the starting values.
    const seconds = looking > 0 || wasLooking ? await look() : new Map<string, number>();
    remember(wasLooking ? seconds : new Map(), elapsed);
    judge();
    if (instances.size > 0 || used.size > 0) plan();
    else timer = undefined;
  }
  function plan(): void {
    timer = setTimeout(() => void turn(), LIGHT_FIRST.everyMs).unref();
  }

  return {
    isHeavy: (tenantId: string): boolean => heavy.has(tenantId),
    /** A second call for the same instance does nothing. */
    add(tenantId: string, id: string): void {
      if (!instances.has(id)) instances.set(id, { tenantId, seconds: of(tenantId, id) ?? 0 });
      if (timer !== undefined) return;
      before = { at: performance.now(), total: total() ?? 0 };
      plan();
    },
    /** Must be called while the instance's cgroup still exists, so that its last use is counted. */
    remove(id: string): void {
      const known = instances.get(id);
      if (known !== undefined && looking > 0) add(gone, known.tenantId, taken(id));
      instances.delete(id);
    },
  };
}
