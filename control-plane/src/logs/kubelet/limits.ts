// Numbers of the node agent; what it shares with the single-machine collector is in collector/limits.ts.
const MIB = 1024 * 1024;

export const AGENT = {
  /** The kubelet's files are looked at this often. */
  pollMs: 250,
  /** The control plane is asked whose the unnamed instances are this often, and about so many at a time. */
  nameMs: 1_000,
  nameBatch: 500,
  /** A reader that follows hears from its agent at least this often. */
  keepAliveMs: 5_000,
  /** What was read is written down this often: after a kill, no more than this much is read a second time. */
  checkpointMs: 1_000,
  /** Pods that are followed at once, and files of one of them; a kubelet has 110 pods unless told otherwise, and keeps 5 files of each. */
  pods: 1_000,
  filesPerPod: 16,
  /** An instance whose files are gone and that nobody could name is forgotten after this. */
  namelessMs: 60_000,
  /** Time and tags before the text of a line (CRI log format): 35 bytes of RFC 3339, the stream, the tag. */
  headerBytes: 80,
  /** Read of one instance in one look, and in one call. */
  roundBytes: 4 * MIB,
  chunkBytes: 64 * 1024,
  /** An instance that is this far ahead of its reader is not read line by line any more: the newest `lagKeepBytes` are, the rest is named. */
  lagBytes: 64 * MIB,
  lagKeepBytes: 8 * MIB,
  /** A line that was cut into so many bytes of parts is not read again from its beginning after a restart. */
  partsBytes: 256 * 1024,
  /** Bytes of state that are read at a start. */
  stateBytes: 4 * MIB,
} as const;

/** Records that are looked through after a restart for what is there already: all that an instance may write between two checkpoints. */
export const KNOWN_RECORDS = 10_000;
