// Remembers why leased instances ended. The holder asks when it finds the connection broken, and by then the reconciler may have found the
// end first and taken the instance out of the table.
export interface EndReason {
  reason: string;
  detail: string;
}
/** The most ends that are remembered, which is enough because a holder asks within a second. */
export const REMEMBERED_ENDS = 1_000;

export function createRecentEnds() {
  const ends = new Map<string, EndReason & { holder: string }>();
  return {
    note(lease: { leaseId: string; holder: string } | undefined, why: EndReason): void {
      if (lease === undefined) return;
      ends.set(lease.leaseId, { holder: lease.holder, reason: why.reason, detail: why.detail });
      const [oldest] = ends.keys();
      if (ends.size > REMEMBERED_ENDS && oldest !== undefined) ends.delete(oldest);
    },
    /** Answers only the gateway that held the lease. */
    of(leaseId: string, holder: string): EndReason | undefined {
      const found = ends.get(leaseId);
      return found?.holder === holder ? { reason: found.reason, detail: found.detail } : undefined;
    },
  };
}
