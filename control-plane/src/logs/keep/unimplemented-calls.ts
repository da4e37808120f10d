// System calls that gVisor does not implement, as its Sentry reports them (runsc --user-log; runsc/boot/compat.go): each call once in a
// sandbox's life, as `{"log":"compat.go:120] Unsupported syscall <name>(<arguments>). …`. The file is the Sentry's, but which calls are made
// is up to the function, so only names are taken, of a known form, and only so many.

export const UNIMPLEMENTED = {
  /** Names in one record. */
  names: 32,
  /** Bytes of one sandbox's file that are looked at; all of what the Sentry has to say fits unless calls are made up. */
  fileBytes: 1024 * 1024,
  /** Where nobody else bounds the file it is emptied above this: a call of a made-up number costs 400 bytes, a hundred times a second. */
  emptyAboveBytes: 256 * 1024,
  /** A version that has made new ones is given this long to make more of them before they are told. */
  quietMs: 2_000,
  /** Versions of which is remembered what was told; of others the log is asked again. */
  versions: 1_000,
} as const;

const REPORT = /\{"log":"compat\.go:\d{1,5}\] Unsupported syscall ([a-z][a-z0-9_]{0,31})\(/g;
/** Every process of glibc asks for it when it starts, and does without. */
const EVERY_PROCESS = new Set(["rseq"]);

export const callsIn = (text: string): string[] =>
  [...text.matchAll(REPORT)].flatMap(([, name = ""]) => (EVERY_PROCESS.has(name) ? [] : [name]));

const BEFORE = "gVisor does not implement these system calls, which this version made: ";
const AFTER = ". If it needs them, set isolation: kata in fnctl.yaml (on Kubernetes, with nodes for Kata).";

export const adviceOn = (names: readonly string[]): string => `${BEFORE}${names.toSorted().join(", ")}${AFTER}`;

/** The names in such a record; none in any other. */
export const namesIn = (message: string): string[] =>
  message.startsWith(BEFORE) && message.endsWith(AFTER) ? message.slice(BEFORE.length, -AFTER.length).split(", ") : [];
