// Limits of the egress proxy. Limits of a single source come with the source (`maxBytes`, `maxConnections`).
export const EGRESS_LIMITS = {
  /** Time for a CONNECT request's header, and its size. */
  headersMs: 10_000,
  headerBytes: 8 * 1024,
  /** In a cluster: connections of all sandboxes at once, and sandboxes whose bytes are counted. */
  openConnections: 10_000,
  rememberedSources: 10_000,
  /** Name resolution and connecting, milliseconds each. */
  resolveMs: 5_000,
  connectMs: 10_000,
  /** How many addresses of one name are tried. */
  addresses: 4,
  /** From CONNECT's answer to a whole first flight (TLS ClientHello), milliseconds and bytes. */
  firstFlightMs: 10_000,
  firstFlightBytes: 32 * 1024,
  /** How long a tunnel may be without a byte, and its longest life, milliseconds. */
  idleMs: 5 * 60_000,
  tunnelMs: 60 * 60_000,
  /** Body of a call to the control socket, bytes. */
  controlBodyBytes: 64 * 1024,
  /** Own addresses of the machine are read again after this time, milliseconds. */
  ownAddressesMs: 10_000,
} as const;
