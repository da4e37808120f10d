// Decides which tenants may get a builder now. Builders need memory and processor time, so there are few places, and one tenant's slow or
// hanging builds must not hold them all. It does no input or output.

/** A builder that runs longer than this mostly waits, so it no longer takes a place. Its tenant gets no other builder meanwhile. */
export const SLOW_BUILD_MS = 20_000;
/** As long as another tenant built within this time, the last place is not given to a tenant that has a builder already. */
export const ACTIVE_MS = 60 * 60_000;

export interface SlotsOptions {
  /** Places there are now, at least as many as can be run well: cores, and what fits into free memory. */
  places(): number;
  now?: () => number;
}
interface Holder {
  tenantId: string;
  since: number;
}

export function createSlots({ places, now = Date.now }: SlotsOptions) {
  const held = new Set<Holder>();
  const lastServed = new Map<string, number>();
  const isSlow = ({ since }: Holder) => now() - since >= SLOW_BUILD_MS;
  const quick = () => [...held].filter((holder) => !isSlow(holder)).length;
  /** One builder may run however little memory is free: a small machine builds slowly, but it builds. */
  const free = () => (held.size === 0 ? Math.max(1, places()) : places() - quick());

  /** Tenants that built within ACTIVE_MS, and how long ago each last got a place. */
  function served(): { tenantId: string; agoMs: number }[] {
    for (const [tenantId, at] of lastServed) if (now() - at > ACTIVE_MS) lastServed.delete(tenantId);
    return [...lastServed].map(([tenantId, at]) => ({ tenantId, agoMs: now() - at }));
  }
  const othersThan = (tenantId: string): boolean => served().some((other) => other.tenantId !== tenantId);

  return {
    free,
    served,
    /** Tenants that must not get the next place. */
    barred(): string[] {
      const last = free() <= 1;
      const barred = [...held].filter((holder) => isSlow(holder) || (last && othersThan(holder.tenantId)));
      return [...new Set(barred.map(({ tenantId }) => tenantId))];
    },
    /** Takes a place. Returns the function that gives it back; calling that again does nothing. */
    take(tenantId: string): () => void {
      const holder = { tenantId, since: now() };
      held.add(holder);
      lastServed.delete(tenantId); // re-inserted, so that the map is ordered by time
      lastServed.set(tenantId, holder.since);
      return () => void held.delete(holder);
    },
  };
}
export type Slots = ReturnType<typeof createSlots>;
