// System calls that gVisor does not implement, as its Sentry reports them (runsc --user-log; runsc/boot/compat.go): each call once in a
// sandbox's life, as `{"log":"compat.go:120] Unsupported syscall <name>(<arguments>). …`. The Sentry writes the file, but the function
// chooses the calls, so only names of a known form are taken, and only a limited number of them.

export const UNIMPLEMENTED = {
  /** Most names in one record. */
  names: 32,
  /** Bytes of one sandbox's file that are read; the reports of all real calls fit, only made-up calls can exceed it. */
  fileBytes: 1024 * 1024,
  /**
   * Size above which the file is emptied where nothing else limits it: a call with a made-up number adds 400 bytes, a hundred times a
   * second.
   */
  emptyAboveBytes: 256 * 1024,
  /** After a version made a new call, reporting waits until it has made no further new one for this long. */
  quietMs: 2_000,
  /** Versions whose reports are remembered; for other versions the log is read again. */
  versions: 1_000,
} as const;

const REPORT = /\{"log":"compat\.go:\d{1,5}\] Unsupported syscall ([a-z][a-z0-9_]{0,31})\(/g;
/** glibc makes these calls at the start of every process, and works without them. */
const EVERY_PROCESS = new Set(["rseq"]);

export const callsIn = (text: string): string[] =>
  [...text.matchAll(REPORT)].flatMap(([, name = ""]) => (EVERY_PROCESS.has(name) ? [] : [name]));

const BEFORE = "gVisor does not implement these system calls, which this version made: ";
const AFTER = ". If it needs them, set isolation: kata in fnctl.yaml (on Kubernetes, with nodes for Kata).";

export const adviceOn = (names: readonly string[]): string => `${BEFORE}${names.toSorted().join(", ")}${AFTER}`;

/** The names in a record that `adviceOn` made; none for any other record. */
export const namesIn = (message: string): string[] =>
  message.startsWith(BEFORE) && message.endsWith(AFTER) ? message.slice(BEFORE.length, -AFTER.length).split(", ") : [];
