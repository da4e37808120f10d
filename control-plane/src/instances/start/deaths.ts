// Versions whose instances end against their will soon after they began, again and again: the next start waits longer and longer, so that
// a broken function, or a client that breaks it with each request, does not keep the machine starting sandboxes. Pure but for what it remembers.
import { PlatformError } from "../../contract/errors.ts";

export const DEATHS = {
  /** Ends in a row after which nothing is delayed: one bad request may end one instance. */
  free: 3,
  firstMs: 1_000,
  mostMs: 60_000,
  /** An instance that lived so long proves that the version can. */
  healthyMs: 30_000,
  /** After a load that failed, the same answer for this long, and longer from time to time. */
  failedInitMs: 2_000,
} as const;
/** Versions that are remembered; beyond it the one that is heard of longest ago goes. */
const REMEMBERED = 10_000;

interface Record {
  count: number;
  /** The last one that was counted: many instances that end together are one event. */
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
  /** How many there were before this one; what is long ago is forgiven. */
  function before(versionId: string): number {
    const record = known.get(versionId);
    return record === undefined || now() - record.at > 2 * DEATHS.mostMs ? 0 : record.count;
  }
  const pause = (first: number, times: number) => Math.min(first * 2 ** times, DEATHS.mostMs);

  return {
    /** An instance of the version ended against its will. */
    ended(versionId: string, livedMs: number): void {
      if (livedMs >= DEATHS.healthyMs) return void known.delete(versionId);
      if (now() - (known.get(versionId)?.at ?? 0) < DEATHS.firstMs) return;
      const count = before(versionId) + 1;
      const times = count - DEATHS.free;
      const until = times <= 0 ? 0 : now() + pause(DEATHS.firstMs, times - 1);
      remember(versionId, { count, at: now(), until, error: undefined });
    },
    /** Its code did not load. */
    failed(versionId: string, error: Error): void {
      const count = before(versionId) + 1;
      remember(versionId, { count, at: now(), until: now() + pause(DEATHS.failedInitMs, count - 1), error });
    },
    /** Throws while no instance of the version may be started. */
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
