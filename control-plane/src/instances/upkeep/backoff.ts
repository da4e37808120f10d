// Decides when to retry an attempt that keeps failing: at once the first time, then after growing pauses, so that a function that ends as
// soon as it runs does not drain the shared pool. Its memory of earlier tries is its only state.
export const BACKOFF = { firstMs: 1_000, mostMs: 60_000, healthyMs: 10_000 } as const;

export function createBackoff() {
  const tries = new Map<string, { count: number; at: number }>();
  const delay = (count: number) => Math.min(BACKOFF.firstMs * 2 ** (count - 1), BACKOFF.mostMs);
  return {
    /** Whether to try now; true counts as a try. After a long time without a try the last one has held, and the pauses begin anew. */
    take(key: string, now: number): boolean {
      const last = tries.get(key);
      if (last === undefined || now - last.at > 2 * delay(last.count) + BACKOFF.healthyMs) {
        tries.set(key, { count: 1, at: now });
        return true;
      }
      if (now - last.at < delay(last.count)) return false;
      tries.set(key, { count: last.count + 1, at: now });
      return true;
    },
    forgetExcept(keys: ReadonlySet<string>): void {
      for (const key of tries.keys()) if (!keys.has(key)) tries.delete(key);
    },
  };
}
