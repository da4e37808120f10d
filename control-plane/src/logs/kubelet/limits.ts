// Numbers of the log agent; what it shares with the single-machine collector is in collector/limits.ts.
const MIB = 1024 * 1024;

export const AGENT = {
  /** Time between two looks at the kubelet's files. */
  pollMs: 250,
  /** How often the control plane is asked which functions unnamed instances belong to, and about how many instances at a time. */
  nameMs: 1_000,
  nameBatch: 500,
  /** The agent sends a following reader something at least this often. */
  keepAliveMs: 5_000,
  /** How often the reading positions are saved; after a kill, lines of no more than this time are read twice. */
  checkpointMs: 1_000,
  /** Pods that are followed at once, and files of one of them; a kubelet has 110 pods unless told otherwise, and keeps 5 files of each. */
  pods: 1_000,
  filesPerPod: 16,
  /** An instance that could not be named is forgotten this long after its files are gone. */
  namelessMs: 60_000,
  /** Time and tags before the text of a line (CRI log format): 35 bytes of RFC 3339, the stream, the tag. */
  headerBytes: 80,
  /** Bytes read of one instance in one look, and in one read call. */
  roundBytes: 4 * MIB,
  chunkBytes: 64 * 1024,
  /** When an instance has this many unread bytes, only the newest `lagKeepBytes` are read, and a record says how many were skipped. */
  lagBytes: 64 * MIB,
  lagKeepBytes: 8 * MIB,
  /** An unfinished line with more bytes of parts than this is not read again from its beginning after a restart. */
  partsBytes: 256 * 1024,
  /** Largest saved state that is read at a start. */
  stateBytes: 4 * MIB,
} as const;

/** Records that are searched after a restart for lines that are kept already: as many as an instance may add between two checkpoints. */
export const KNOWN_RECORDS = 10_000;
