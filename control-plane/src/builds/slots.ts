// Who may have a builder now. Builders need memory and processor time, so there are few places, and nobody's slow or hanging builds may
// hold them all. Pure but for what it remembers.

/** A builder that runs longer no longer counts among the places: it waits for something more than it works. Its tenant gets no other one. */
export const SLOW_BUILD_MS = 20_000;
/** Others that built within this time keep one place free of tenants that have one already. */
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
  /** One runs whatever the memory is: a small machine builds slowly, but it builds. */
  const free = () => (held.size === 0 ? Math.max(1, places()) : places() - quick());

  /** Who is active, and for how long it has not got a place. */
  function served(): { tenantId: string; agoMs: number }[] {
    for (const [tenantId, at] of lastServed) if (now() - at > ACTIVE_MS) lastServed.delete(tenantId);
    return [...lastServed].map(([tenantId, at]) => ({ tenantId, agoMs: now() - at }));
  }
  const othersThan = (tenantId: string): boolean => served().some((other) => other.tenantId !== tenantId);

  return {
    free,
    served,
    /** Tenants that must not take the next one. */
    barred(): string[] {
      const last = free() <= 1;
      const barred = [...held].filter((holder) => isSlow(holder) || (last && othersThan(holder.tenantId)));
      return [...new Set(barred.map(({ tenantId }) => tenantId))];
    },
    /** Returns the way to give it back; more than once does nothing. */
    take(tenantId: string): () => void {
      const holder = { tenantId, since: now() };
      held.add(holder);
      lastServed.delete(tenantId); // the newest is last
      lastServed.set(tenantId, holder.since);
      return () => void held.delete(holder);
    },
  };
}
export type Slots = ReturnType<typeof createSlots>;
