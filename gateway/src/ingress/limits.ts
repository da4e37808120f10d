// Numbers that belong to the gateway alone; those that cross a border are in the contract's limits.ts.
const KIB = 1024;

export const GATEWAY_LIMITS = {
  /** A request body up to this size is gathered before a slot is taken; larger ones stream. Bytes. */
  gatherBytes: 64 * KIB,
  /** What is kept of an answer for a caller without a connection. Bytes. */
  storedAnswerBytes: 64 * KIB,
  /** A response up to this size that is there at once leaves in one write. Bytes. */
  singleWriteBytes: 64 * KIB,
  /** Connections from one address, and in all. A trusted proxy in front counts in all only. */
  connectionsPerAddress: 2_000,
  connections: 20_000,
  /** Idle time of a client's kept connection, milliseconds. */
  keepAliveMs: 65_000,
  /** Silence of a client after which TCP asks whether it is still there, milliseconds; how often then is the system's (tcp_keepalive_intvl). */
  probeAfterMs: 30_000,
  /** Requests on one client connection before it is closed; bounds what one connection can hold on to. */
  requestsPerConnection: 100_000,
  /** How often Node looks for connections whose header or request is late, milliseconds. */
  lateCheckMs: 1_000,
  /** Time a refused request's body is read off so that the client sees the answer and no reset, milliseconds. */
  lingerMs: 1_000,
  lingerBytes: 1024 * KIB,
  /** Connecting to an instance, milliseconds, with the TLS handshake in a cluster. */
  connectMs: 5_000,
  /** Interim answers (1xx) of one response; more is an attack on the client. */
  interimResponses: 16,
  /** How long the control plane may take for one lease, milliseconds; the instance serves later requests even if the first gave up. */
  leaseWaitMs: 60_000,
  /** Pause before a refused lease is asked for again while requests wait, milliseconds. */
  leaseRetryMinMs: 100,
  leaseRetryMaxMs: 2_000,
  /** After a deadline or a crash: how long an instance's other requests may go on, milliseconds (SECURITY H3). */
  lostInstanceGraceMs: 5_000,
  /** How long a failed request waits for the reason of its instance's end, milliseconds. */
  endReasonMs: 1_200,
  /** How often idle instances are looked for, milliseconds. */
  idleSweepMs: 1_000,
  /** Change stream: silence that counts as broken, and the longest pause between attempts, milliseconds. */
  feedSilenceMs: 15_000,
  feedBackoffMaxMs: 5_000,
  feedBackoffBaseMs: 100,
  feedLineBytes: 1024 * KIB,
  /** While the stream is broken: how long a request waits whose function or token is not known, milliseconds, and how many may wait. */
  staleMissMs: 2_000,
  staleMisses: 1_000,
  /** Calls to the control plane other than leases, milliseconds. */
  controlCallMs: 10_000,
  /** Entries of the caches keyed by what clients send. */
  hostCacheEntries: 10_000,
  tokenCacheEntries: 10_000,
  /** Connections to the control plane's API listener. */
  apiConnections: 256,
  /** Access log: written at this size or after this time, and dropped (counted) beyond the cap. */
  logFlushBytes: 64 * KIB,
  logFlushMs: 200,
  logBacklogBytes: 8 * 1024 * KIB,
  /** Size of the file, and of how many older ones: what one client can make of it at most. */
  accessLog: { bytes: 32 * 1024 * KIB, files: 4 },
  /** Path as it stands in the access log, characters. */
  logPathChars: 1_024,
  /** Drain: the longest wait for requests in flight, milliseconds. */
  drainMs: 30_000,
} as const;
