// Limits of the egress proxy. Limits of a single source come with the source (`maxBytes`, `maxConnections`).
export const EGRESS_LIMITS = {
  /** Time for a CONNECT request's header, and its size. */
  headersMs: 10_000,
  headerBytes: 8 * 1024,
  /** In a cluster: connections of all sandboxes at once, and sandboxes whose bytes are counted. */
  openConnections: 25_000,
  /** In a cluster: connections that have shown no credential yet: of one address, of all, and how many any address may have. */
  strangers: { perAddress: 320, all: 5_000, least: 16 },
  rememberedSources: 10_000,
  /** In a cluster: connections of one sandbox beside its tunnels, and all of one tenant's that have shown a credential. */
  questionsAtOnce: 128,
  connectionsPerTenant: 4_000,
  /** New credentials of one sandbox, each of which is a call of the control plane: so many a second, and so many at once. */
  renewals: { perSecond: 0.2, burst: 5, waitMs: 60_000, owners: 10_000 },
  /** Name resolution and connecting, milliseconds each. */
  resolveMs: 5_000,
  /** Refusals of whoever shows no good credential, by address: so many a second, and so many at once; what is beyond waits, so long at most. */
  unknown: { perSecond: 20, burst: 100, waitMs: 5_000, owners: 10_000 },
  /**
   * Names that are looked up at a time, for one tenant, and that wait; libuv looks up as many as half of its threads (`UV_THREADPOOL_SIZE`, 64), and
   * a lookup that hangs keeps its thread.
   */
  resolves: { parallel: 30, perOwner: 4, mostWaiting: 256 },
  /** Tunnels at a time: of all sandboxes, and of one tenant's. */
  tunnels: 20_000,
  tunnelsPerTenant: 2_000,
  /** Tunnels at a time of one function, in all its sandboxes. */
  tunnelsPerFunction: 1_000,
  /** What one function, and all of a tenant's, may move in a day (`FNCTL_EGRESS_DAY_CAPS`), and how often it is told, milliseconds. */
  dayCaps: {
    functionBytes: 200 * 1024 ** 3,
    functionConnections: 2_000_000,
    tenantBytes: 1024 ** 4,
    tenantConnections: 10_000_000,
  },
  usageMs: 10_000,
  /** Records that wait to be told: of all tenants, and of one; and how long, milliseconds. */
  records: 10_000,
  recordsPerTenant: 1_000,
  reportMs: 1_000,
  /** How long a connection waits for its tenant's rules when none are known yet, and after a change until they are on disk; milliseconds. */
  rulesWaitMs: 2_000,
  rulesKeepMs: 100,
  /**
   * Questions for names and for connections of one tenant: so many a second, and so many at once; what is beyond it waits, so long at most.
   * Milliseconds.
   */
  questions: { perSecond: 1_000, burst: 2_000, waitMs: 5_000, owners: 10_000 },
  /** How long a refused client may take to read the reason, milliseconds. */
  refusalMs: 1_000,
  /** Connections beyond those that a listener takes, which are told so, at a time. */
  turnedAway: 256,
  /** Head of an answer to a plain request, bytes. */
  answerHeadBytes: 32 * 1024,
  /** Interim answers (1xx) to a plain request. */
  interimAnswers: 16,
  /** Bytes of a plain message's body that are kept while nobody takes them yet; what one read brings is kept besides. */
  bodyHeldBytes: 64 * 1024,
  /**
   * Pieces of bodies (chunks of their framing) of one tenant: so many a second, and so many at once, of messages that bring `ofTurn` or more in one turn
   * of the event loop; a read may hold eleven thousand, and costs the others 20 ms. What is beyond it waits, so long at most. Milliseconds.
   */
  pieces: { ofTurn: 64, perSecond: 20_000, burst: 20_000, waitMs: 120_000, owners: 10_000 },
  /** Refusals of one sandbox that are logged in a second; the rest is counted. */
  refusalsPerSecond: 10,
  /** SRV and TXT records of one answer, and their bytes. */
  dnsAnswer: { records: 32, bytes: 4_096 },
  /** How long one DNS server is waited for, where the operator names some. */
  dnsTryMs: 1_000,
  connectMs: 10_000,
  /** How many addresses of one name are tried, and how many it may have: each is judged by all rules. */
  addresses: 4,
  addressesOfName: 128,
  /** From CONNECT's answer to a whole first flight (TLS ClientHello), milliseconds and bytes. */
  firstFlightMs: 10_000,
  firstFlightBytes: 32 * 1024,
  /** So many looks at a first flight at once with a piece of it; after that, one in this time, milliseconds. */
  firstFlightLooks: 32,
  firstFlightPauseMs: 20,
  /** How long a tunnel may be without a byte, milliseconds; it lives no longer than its sandbox. */
  idleMs: 15 * 60_000,
  /** After this time without a byte the kernel asks whether the peer is still there, milliseconds. */
  probeAfterMs: 60_000,
  /** Body of a call to the control socket, bytes. */
  controlBodyBytes: 64 * 1024,
  /** Own addresses of the machine are read again after this time, milliseconds. */
  ownAddressesMs: 10_000,
} as const;
