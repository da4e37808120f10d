// Limits of whoever follows the change stream.
const KIB = 1024;

export const FEED_LIMITS = {
  /** The silence after which the stream counts as broken, and the longest pause between attempts, milliseconds. */
  silenceMs: 15_000,
  backoffMaxMs: 5_000,
  backoffBaseMs: 100,
  lineBytes: 1024 * KIB,
  /** Calls to the control plane, milliseconds. */
  callMs: 10_000,
} as const;
