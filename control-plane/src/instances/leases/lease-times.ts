// How long a lease holds without a renewal, and how long an instance is kept for a gateway that does not renew.
/** A lease lives this long without renewal. */
export const LEASE_TTL_MS = 15_000;
/** The instance is stopped this much later than its lease ends, because clocks and networks are not exact. */
export const LEASE_GRACE_MS = 5_000;
