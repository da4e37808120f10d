// Notices sandboxes that are dead while their node still reports them as running: a virtual machine that was killed on its host, or a node
// without power, which Kubernetes gives up only after minutes. A knock costs this process 0.2 ms and a gVisor sandbox 2.5 ms, so each
// sandbox is knocked at seldom, and the rate of all knocks is limited; with more than `perSecond * everyMs` sandboxes a round takes longer.
import type { Knock, Place } from "./knock.ts";

export const PULSE = {
  /** Time of one round over all sandboxes, while they are at most 2,000; with 10,000 a round takes 20 s. */
  everyMs: 4_000,
  perSecond: 500,
  /** Knocks at a time: a knock at a dead sandbox lasts for the whole `waitMs`. */
  atOnce: 128,
  /** How long a knock waits: more than the second after which TCP sends its first packet again. */
  waitMs: 1_300,
  /**
   * A silent sandbox is knocked at again after this pause, and given up after `misses` silent knocks in a row: with the round before, nine
   * seconds.
   */
  againMs: 300,
  misses: 3,
} as const;
const TICK_MS = 100;
/**
 * If at least this many sandboxes are silent, and they are more than half of all and of more than half of the tenants, the fault is
 * probably on our side.
 */
const DOUBT_FROM = 4;

/** The tenant is needed because the silence of one tenant's sandboxes proves no fault on our side: a function can refuse to answer. */
export interface KnockTarget extends Place {
  tenant: string;
}
interface Watched {
  place: KnockTarget;
  misses: number;
  looking: boolean;
  againAt?: number;
}
export interface PulseOptions {
  knock(place: Place, timeoutMs: number): Promise<Knock>;
  onError(error: unknown): void;
}

export function createPulse({ knock, onError }: PulseOptions) {
  const watched = new Map<string, Watched>();
  let round: string[] = [];
  let roundAt = -Infinity;
  let looking = 0;
  let doubting = false;
  let timer: NodeJS.Timeout | undefined;

  const isSilent = ({ misses }: Watched): boolean => misses >= PULSE.misses;
  /** Whether implausibly many sandboxes are silent; then none is given up. */
  function inDoubt(): boolean {
    let silent = 0;
    const [tenants, silentTenants] = [new Set<string>(), new Set<string>()];
    for (const one of watched.values()) {
      tenants.add(one.place.tenant);
      if (!isSilent(one)) continue;
      silent++;
      silentTenants.add(one.place.tenant);
    }
    const doubt = silent >= DOUBT_FROM && silent * 2 > watched.size && silentTenants.size * 2 > tenants.size;
    if (doubt && !doubting)
      onError(new Error(`${silent} of ${watched.size} sandboxes do not answer; the fault may be here, none is given up.`));
    doubting = doubt;
    return doubt;
  }

  function look(one: Watched): void {
    one.looking = true;
    delete one.againAt;
    looking++;
    void knock(one.place, PULSE.waitMs).then((seen) => {
      looking--;
      one.looking = false;
      if (seen === "there") one.misses = 0;
      if (seen === "silent") one.misses++;
      if (seen === "silent" && !isSilent(one)) one.againAt = performance.now() + PULSE.againMs;
    });
  }

  function tick(): void {
    const now = performance.now();
    let left = Math.min(PULSE.atOnce - looking, (PULSE.perSecond * TICK_MS) / 1000);
    for (const one of watched.values()) {
      if (left <= 0) return;
      if (one.againAt === undefined || one.againAt > now) continue;
      look(one);
      left--;
    }
    if (round.length === 0 && now - roundAt >= PULSE.everyMs) [round, roundAt] = [[...watched.keys()], now];
    while (left > 0 && round.length > 0) {
      const one = watched.get(round.pop() ?? "");
      if (one === undefined || one.looking || one.againAt !== undefined) continue;
      look(one);
      left--;
    }
  }

  return {
    /** Sets the sandboxes to knock at from now on, by their ids. */
    watch(places: ReadonlyMap<string, KnockTarget>): void {
      for (const id of watched.keys()) if (!places.has(id)) watched.delete(id);
      for (const [id, place] of places) if (!watched.has(id)) watched.set(id, { place, misses: 0, looking: false });
      if (watched.size > 0) timer ??= setInterval(tick, TICK_MS).unref();
      else stop();
    },
    /** Ids of sandboxes that did not answer several knocks in a row. */
    silent: (): ReadonlySet<string> => new Set(inDoubt() ? [] : [...watched].filter(([, one]) => isSilent(one)).map(([id]) => id)),
    close: stop,
  };
  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }
}
export type Pulse = ReturnType<typeof createPulse>;
