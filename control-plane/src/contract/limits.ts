// Every limit that more than one part of the platform must know. Values are bytes unless the name says otherwise.
const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  /** A tenant or function name; with the `--` between them they make one DNS label (RFC 1035: 63 bytes). */
  hostLabelBytes: 63,
  slugBytes: 40,
  /** Compressed source archive of one version. */
  sourceArchiveBytes: 64 * MIB,
  /** What a source archive may unpack to, and how (SECURITY G1, G2). */
  sourceUnpackedBytes: 512 * MIB,
  sourceFiles: 20_000,
  sourcePathBytes: 1024,
  sourcePathDepth: 32,
  sourceRatio: 100,
  /** One built layer, unpacked. */
  layerBytes: 512 * MIB,
  layerFiles: 60_000,
  /** A build, from its start to its end, milliseconds. */
  buildMs: 10 * 60_000,
  buildLogBytes: 4 * MIB,
  /** JSON bodies of the management API. */
  apiBodyBytes: 256 * KIB,
  /** Values (members, elements) in such a body, and how deep they may lie: far above what any operation takes. */
  apiBodyValues: 5_000,
  apiBodyDepth: 32,
  /** Scopes of one token. */
  tokenScopes: 4,
  /** Request header of an invocation: bytes in all, and number of fields (SECURITY D5). */
  headerBytes: 16 * KIB,
  headerCount: 100,
  /** Time to send a request's header, milliseconds. */
  headersTimeoutMs: 10_000,
  /** Invocation bodies are streamed; the caps count bytes as they pass. */
  requestBodyBytes: 100 * MIB,
  responseBodyBytes: 1024 * MIB,
  /** Environment settings of one function. */
  envEntries: 100,
  envBytes: 32 * KIB,
  /** Rules of one function for what it may reach, and ports of one rule. */
  egressRules: 100,
  egressPorts: 20,
  /** Rules of a tenant itself, for all or one of its functions. */
  egressOwnRules: 200,
  /** Calls of functions by functions, one by the other. */
  callDepth: 8,
  /** Ranges of private addresses that an operator opens to one tenant. */
  egressPrivate: 50,
  /** Records of connections that a tenant keeps, and those of one report of an egress proxy's. */
  egressRecords: 5_000,
  egressReport: 500,
  /** Days for which it is kept what a function moved through the egress proxies, and days of functions in one answer. */
  egressUsageDays: 35,
  egressUsageRows: 1_000,
  /** Requests that wait for a busy function, and how long one of them waits. */
  queueDepth: 200,
  queueMs: 10_000,
  /** One line of a function's log; longer ones are cut. */
  logLineBytes: 16 * KIB,
  /** Kept log of one function. */
  logBytesPerFunction: 16 * MIB,
  /** Kept logs of all functions of a tenant: above it the function with the largest log loses its oldest lines. */
  logBytesPerTenant: 256 * MIB,
  /** Log lines an instance may write in a second before they are counted instead of kept. */
  logLinesPerSecond: 1000,
  /**
   * Reads of function logs at a time, followed or not: of one tenant (RATE_LIMITED above it) and of all tenants (CAPACITY_UNAVAILABLE above
   * it).
   */
  logReadsPerTenant: 8,
  logReads: 128,
  /** Instances of one function. */
  maxInstances: 50,
  maxConcurrency: 1000,
  timeoutMinMs: 100,
  timeoutMaxMs: 15 * 60_000,
} as const;

/** The memory sizes a function may ask for, MiB: a closed list, because pools are keyed by it. */
export const MEMORY_SIZES_MIB = [128, 256, 512, 1024, 2048] as const;
/** Room for a version's code in a pod, MiB: a closed list for the same reason; the largest holds any layer. */
export const CODE_SIZES_MIB = [16, 64, 192, 576] as const;
export const RUNTIMES = ["node24", "python3.13"] as const;
export const ISOLATIONS = ["gvisor", "kata"] as const;
