// How long a lease holds without a renewal, and how long an instance is kept for whoever lost touch.
/** A lease lives this long without renewal. */
export const LEASE_TTL_MS = 15_000;
/** And this much longer until its instance is stopped: clocks and networks are not exact. */
export const LEASE_GRACE_MS = 5_000;
