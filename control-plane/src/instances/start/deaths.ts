// Delays starts of versions whose instances keep ending by themselves soon after their start. The delay grows with each such end, so that a
// broken function, or a client that breaks it with each request, does not keep the machine starting sandboxes. Its memory of earlier ends
// is its only state.
import { PlatformError } from "../../contract/errors.ts";

export const DEATHS = {
  /** So many ends in a row cause no delay: one bad request may end one instance. */
  free: 3,
  firstMs: 1_000,
  mostMs: 60_000,
  /** An instance that lived this long proves that its version works, and clears the count. */
  healthyMs: 30_000,
  /** After a failed load, further starts get the same error for this long; the time doubles with each failure. */
  failedInitMs: 2_000,
} as const;
/** The most versions that are remembered; beyond that the one with the oldest last end is forgotten. */
const REMEMBERED = 10_000;

interface Record {
  count: number;
  /** Time of the last counted end: several instances that end together count as one. */
  at: number;
  until: number;
  error: Error | undefined;
}

export function createDeaths(now: () => number = Date.now) {
  const known = new Map<string, Record>();

  function remember(versionId: string, record: Record): void {
    known.delete(versionId); // the newest is last
    known.set(versionId, record);
    const [oldest] = known.keys();
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest);
  }
  /** How many ends came before this one; ends of long ago no longer count. */
  function before(versionId: string): number {
    const record = known.get(versionId);
    return record === undefined || now() - record.at > 2 * DEATHS.mostMs ? 0 : record.count;
  }
  const pause = (first: number, times: number) => Math.min(first * 2 ** times, DEATHS.mostMs);

  return {
    /** Notes that an instance of the version ended without being asked to. */
    ended(versionId: string, livedMs: number): void {
      if (livedMs >= DEATHS.healthyMs) return void known.delete(versionId);
      if (now() - (known.get(versionId)?.at ?? 0) < DEATHS.firstMs) return;
      const count = before(versionId) + 1;
      const times = count - DEATHS.free;
      const until = times <= 0 ? 0 : now() + pause(DEATHS.firstMs, times - 1);
      remember(versionId, { count, at: now(), until, error: undefined });
    },
    /** Notes that the version's code did not load. */
    failed(versionId: string, error: Error): void {
      const count = before(versionId) + 1;
      remember(versionId, { count, at: now(), until: now() + pause(DEATHS.failedInitMs, count - 1), error });
    },
    /** Throws while the version is delayed: until then no instance of it may be started. */
    require(versionId: string): void {
      const record = known.get(versionId);
      if (record === undefined || now() >= record.until) return;
      if (record.error !== undefined) throw record.error;
      const seconds = Math.ceil((record.until - now()) / 1000);
      throw new PlatformError("FUNCTION_CRASHED", `The function's last ${record.count} instances ended soon after their start.`, {
        hint: `fnctl logs says why; the next one is started in ${seconds} s.`,
        facts: { retryAfterSeconds: seconds },
      });
    },
  };
}
export type Deaths = ReturnType<typeof createDeaths>;
