// Limits of the gateway alone; limits that other parts of the platform share are in the contract's limits.ts.
const KIB = 1024;

export const GATEWAY_LIMITS = {
  /** A request body up to this size is gathered before a slot is taken; larger ones stream. Bytes. */
  gatherBytes: 64 * KIB,
  /** How long such a body may take, whatever the function's own time; milliseconds. */
  gatherMs: 30_000,
  /** How much of an answer is kept for a caller without a connection. Bytes. */
  storedAnswerBytes: 64 * KIB,
  /** A response up to this size that arrives at once is sent in one write. Bytes. */
  singleWriteBytes: 64 * KIB,
  /** The most connections from one address, and from all. For a trusted proxy in front only the total counts. */
  connectionsPerAddress: 2_000,
  /** Of an IPv6 site (48 bits), which a client may have been given whole. */
  connectionsPerSite: 4_000,
  connections: 20_000,
  /** Requests that may wait for the answer before them: on one connection, of one address and in all; one more cuts its connection. */
  pipelinedPerConnection: 1_024, // a read of 64 KiB holds hundreds of an honest client
  pipelinedPerAddress: 2_048,
  pipelined: 8_192,
  /** How long one may wait, milliseconds; then its connection is cut. */
  pipelineWaitMs: 30_000,
  /**
   * Refusals of strangers from one address: so many a second, and so many at once; what is beyond it waits, so long at most, which is what all
   * connections of an address wait that ask again as soon as they may. Milliseconds.
   */
  refusals: { perSecond: 500, burst: 500, waitMs: 5_000, owners: 10_000 },
  /** Bytes of clients that are held at a time, gathered bodies and answers that are not taken: in all, and for one address. */
  held: {
    bodies: { all: 128 * 1024 * KIB, perAddress: 32 * 1024 * KIB },
    answers: { all: 256 * 1024 * KIB, perAddress: 64 * 1024 * KIB },
  },
  /**
   * How long what waits for a client may go without being taken, milliseconds. The kernel says that it has room only when a third of its own
   * buffer, up to 4 MB on a fast line, is free: a client of some kilobytes a second must live.
   */
  stalledWriteMs: 300_000,
  /** Idle time of a client's kept connection, milliseconds. */
  keepAliveMs: 65_000,
  /** Silence of a client after which TCP probes it, milliseconds; the interval of further probes is the system's (tcp_keepalive_intvl). */
  probeAfterMs: 30_000,
  /** Requests on one client connection before it is closed, which limits how long one connection can last. */
  requestsPerConnection: 100_000,
  /** How often Node looks for connections whose header or request is late, milliseconds. */
  lateCheckMs: 1_000,
  /** How long a refused request's body is still read, so that the client sees the answer and no reset, milliseconds. */
  lingerMs: 1_000,
  /** More than both kernels hold for a connection (tcp_rmem and tcp_wmem: 6 and 4 MiB on Linux); what stays unread resets it. */
  lingerBytes: 12 * 1024 * KIB,
  /** Connecting to an instance, milliseconds, with the TLS handshake in a cluster. */
  connectMs: 5_000,
  /**
   * What a function wrote on a free connection this long before the next request goes out is not taken for that request's answer, milliseconds;
   * of all requests this share may be taken back for it, and so many at once.
   */
  lateBytesMs: 5,
  takenBack: { share: 0.05, most: 256 },
  /** The first line of a connection by which a function calls another: how long it may take, milliseconds, and its bytes. */
  callLineMs: 5_000,
  callLineBytes: 4 * KIB,
  /** Interim answers (1xx) of one response; more is an attack on the client. */
  interimResponses: 16,
  /**
   * How long the control plane may take for one lease, milliseconds; its instance serves later requests if the first one gave up waiting.
   */
  leaseWaitMs: 60_000,
  /** Pause before a refused lease is asked for again while requests wait, milliseconds. */
  leaseRetryMinMs: 100,
  leaseRetryMaxMs: 2_000,
  /** After a refusal that asking again will not change, requests get it from memory for so long, milliseconds. */
  refusalMs: 500,
  /** After a deadline or a crash: how long an instance's other requests may go on, milliseconds (SECURITY H3). */
  lostInstanceGraceMs: 5_000,
  /** How long a failed request waits for the reason of its instance's end, milliseconds. */
  endReasonMs: 1_200,
  /** After a broken connection: how long an instance gets no request while it is asked whether it lives, milliseconds. */
  doubtMs: 1_000,
  /** How often idle instances are looked for, milliseconds. */
  idleSweepMs: 1_000,
  /**
   * While the stream is broken: how long a request for an unknown function or with an unknown token waits, milliseconds, and how many may
   * wait.
   */
  staleMissMs: 2_000,
  staleMisses: 1_000,
  /** Calls to the control plane other than leases, milliseconds. */
  controlCallMs: 10_000,
  /** The most entries of the caches whose keys clients choose. */
  hostCacheEntries: 10_000,
  tokenCacheEntries: 10_000,
  /** Requests at the API at a time, by kind (`ApiBudget`); each has a connection of its own. */
  api: {
    call: { all: 256, perTenant: 32, strangers: 64, perStranger: 16 },
    upload: { all: 128, perTenant: 32, strangers: 16, perStranger: 4 },
    stream: { all: 1_024, perTenant: 64, strangers: 64, perStranger: 16 },
  },
  /**
   * Milliseconds that a request to the API may take: its body, and from then to the answer's head. A call's answer is short, so it has the
   * same time to its end.
   */
  apiBodyMs: { call: 30_000, upload: 15 * 60_000, stream: 30_000 },
  apiAnswerMs: { call: 180_000, upload: 180_000, stream: 60_000 },
  /** Access log: written at this size or after this time, and dropped (counted) beyond the cap. */
  logFlushBytes: 256 * KIB,
  logFlushMs: 200,
  logBacklogBytes: 8 * 1024 * KIB,
  /** Size of one file, and number of older files, so that clients cannot fill the disk. */
  accessLog: { bytes: 32 * 1024 * KIB, files: 4 },
  /** The most characters of a path in the access log. */
  logPathChars: 1_024,
  /** Drain: the longest wait for requests in flight, milliseconds. */
  drainMs: 30_000,
} as const;
