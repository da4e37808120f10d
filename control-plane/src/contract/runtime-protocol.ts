// Runtime protocol v1: HTTP/1.1 on the instance's Unix socket, between the platform and a bootstrap in a sandbox.
// Everything a sandbox says is hostile input; these schemas check it, and callers cap its bytes.
import { z } from "zod";
import { envSchema } from "./config.ts";
import { digestSchema, runtimeSchema, slugSchema, uuidSchema } from "./names.ts";

export const PROTOCOL = 1;
/** Public requests below this prefix are refused by ingress. */
export const PROTOCOL_PREFIX = "/.fnctl/";
export const PROTOCOL_PATHS = {
  health: "/.fnctl/v1/health",
  code: "/.fnctl/v1/code",
  init: "/.fnctl/v1/init",
  identity: "/.fnctl/v1/identity",
  /**
   * GET, with `x-fnctl-exchange`: 204 as soon as the handler of the request that carried the same field has ended, whether or not its client is
   * still there; without the field, as soon as no handler runs at all. Whoever asks sets the time limit.
   */
  settled: "/.fnctl/v1/settled",
} as const;

/** Paths inside every sandbox. */
export const SANDBOX_PATHS = {
  /** The only writable host folder; holds the socket and nothing else (SECURITY I1). */
  socketFolder: "/run/fn/sock",
  socket: "/run/fn/sock/s",
  /**
   * The version's code, read-only, absent until `load`. It lies one level below the mounted folder, because gVisor holds the mounted folder
   * itself open from its start: a mount that the host binds over that folder later is never seen, but one on an entry below it is.
   */
  code: "/function/code",
  codeMount: "/function",
  /** Present only where the sandbox has a way out: the egress proxy's socket for this instance. */
  egressSocket: "/run/fn/egress/s",
  /**
   * In pods, the kubelet mounts a file of the node's disk here for a container's last words; any user may write to it, and its bytes are
   * not counted (SECURITY A16). Debian uses this folder for private keys, so in every base image so far only root may enter it.
   */
  lastWords: "/etc/ssl/private/termination-log",
} as const;

export const healthSchema = z.object({
  state: z.enum(["idle", "loading", "ready", "failed"]),
  runtime: runtimeSchema,
  protocol: z.literal(PROTOCOL),
  /** Pods only: diff_id of the code that was received and verified. */
  code: digestSchema.optional(),
});

/**
 * In a pod the bootstrap listens with TLS instead of a Unix socket, as these variables tell it; it removes them from the environment, and
 * each instance has its own values. The certificate is self-signed for this one instance (SECURITY B8): its peer trusts only this
 * certificate, with the instance's id as server name.
 */
export const POD_ENV = {
  /** TCP port, on all addresses; if it is set, the bootstrap listens with TLS. */
  port: "FNCTL_TLS_PORT",
  /** PEM, PKCS #8. */
  key: "FNCTL_TLS_KEY",
  certificate: "FNCTL_TLS_CERT",
  /** Most bytes of code that `PUT code` may unpack to. */
  codeBytes: "FNCTL_CODE_BYTES",
  /**
   * URL of the egress proxy, `http://host:port`; for a builder with this instance's credential, `http://<instance>:<credential>@host:port`. A
   * function's comes with `init`.
   */
  egress: "FNCTL_EGRESS_PROXY",
} as const;
export const POD_PORT = 8443;

/** Resolves names that lead out, and carries connections to them (runtime-images/base/names.pl). */
export const NAMES_PROGRAM = "/opt/fnctl/names.pl";
/** First program of a base image in a pod (runtime-images/base/enter.pl). */
export const ENTER_PROGRAM = "/opt/fnctl/enter-2.pl";
/** The first program of older base images, which only mounts a function's folders; still older images have none. */
export const FORMER_ENTER_PROGRAM = "/opt/fnctl/enter.pl";
/** Variables that tell the first program what to do; it removes them from the environment. */
export const ENTER_ENV = {
  /** Folders in memory and their bytes, `/tmp=67108864 ...`. */
  mounts: "FNCTL_MOUNTS",
  /** Most processes and threads at a time. */
  pids: "FNCTL_PIDS",
  /** `on`: programs that it starts may make only the system calls that an unprivileged program needs. */
  seccomp: "FNCTL_SECCOMP",
} as const;
/** Exit codes of the first program when its sandbox does not allow one of its steps, and which step; nothing else has run by then. */
export const ENTER_EXITS: Readonly<Record<number, string>> = {
  101: "make a user namespace (unshare)",
  102: "mount a folder in it",
  103: "bound their processes (RLIMIT_NPROC)",
  104: "filter their system calls (seccomp)",
};

/**
 * `PUT code`, once, before init, in pods only (elsewhere 404): the layer as an uncompressed tar, entries below `function/code`. 201 when
 * the layer is in place and its SHA-256 is the digest in this header; 200 for the same digest again; 409 for another one, during another
 * call or after init; 413 above the limit and 422 when the bytes do not have that digest, after which the instance is `failed`.
 */
export const CODE_DIGEST_HEADER = "x-fnctl-diff-id";

/** What the build found out about the code; it is stored as `.fnctl/entry.json` in the code folder and in the image's labels. */
export const entrySchema = z.strictObject({
  /** File below the code folder that is imported. */
  file: z.string().max(512),
  /** Export or attribute asked for by the owner; absent: the bootstrap tries `default`, `app`, `handler`. */
  name: z.string().max(128).optional(),
});

export const initSchema = z.strictObject({
  tenantId: uuidSchema,
  tenant: slugSchema,
  functionId: uuidSchema,
  function: slugSchema,
  versionId: uuidSchema,
  version: z.int(),
  entry: entrySchema,
  env: envSchema,
  limits: z.strictObject({ timeoutMs: z.int(), memoryMib: z.int(), concurrency: z.int() }),
  /** Pods only: by which the egress proxy knows this instance (egress-credential.ts). */
  egress: z.strictObject({ credential: z.string() }).optional(),
});
export type InitRequest = z.infer<typeof initSchema>;
/** 200: ready. `importMs`: the time the user's own import took. */
export const initOkSchema = z.object({ importMs: z.number(), kind: z.string().max(64) });
/** 422: the user's code did not load; `stack` is that code's own stack trace. */
export const initFailedSchema = z.object({ message: z.string(), stack: z.string().optional() });

/** Headers that ingress sets on an invocation after dropping the client's own copies. */
export const INVOCATION_HEADERS = {
  requestId: "x-request-id",
  /** Names this one request to this one instance; never chosen by a client, as `requestId` may be. */
  exchange: "x-fnctl-exchange",
  /** Milliseconds left until the deadline when the request was sent. */
  timeoutMs: "x-fnctl-timeout-ms",
  tenant: "x-fnctl-tenant",
  function: "x-fnctl-function",
  /** Name of the function that calls, of the same tenant; absent: none does. A client's own field of this name is removed. */
  caller: "x-fnctl-caller",
  /** The functions that called each other, signed. A function that passes it on lets the platform notice a circle. */
  chain: "x-fnctl-chain",
} as const;

/** Runtime protocol of a builder sandbox (same socket, other image). */
export const BUILDER_PATHS = {
  health: "/.fnctl/v1/health",
  /** PUT: the source archive, `application/gzip`, a gzip'd POSIX tar. 204, or 422 with `initFailedSchema`. */
  source: "/.fnctl/v1/source",
  /** POST `buildRequestSchema`: answers 200 with `application/x-ndjson` of `builderEventSchema`. */
  build: "/.fnctl/v1/build",
  /** GET: the layer as an uncompressed POSIX tar; entries sorted by path, regular files and folders only. */
  layer: "/.fnctl/v1/layer",
} as const;

const buildRequestSchema = z.strictObject({
  runtime: runtimeSchema,
  main: z.string().optional(),
  handler: z.string().optional(),
  /** The operator's registries; no credentials, ever. Absent: the tools' own defaults. */
  npmRegistry: z.url().optional(),
  pypiIndex: z.url().optional(),
  /** PEM bundle to trust beside the built-in roots. */
  caBundle: z.string().optional(),
  /** Longest run, milliseconds. */
  timeoutMs: z.int(),
});
export type BuildRequest = z.infer<typeof buildRequestSchema>;

export const builderEventSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("log"), stream: z.enum(["stdout", "stderr"]), text: z.string() }),
  z.object({ type: z.literal("step"), name: z.string(), ms: z.number() }),
  z.object({ type: z.literal("done"), entry: entrySchema }),
  /** The build ended because of the user's input; `message` names the mistake, `detail` may hold file, line and column. */
  z.object({ type: z.literal("failed"), message: z.string(), hint: z.string().optional() }),
]);
export type BuilderEvent = z.infer<typeof builderEventSchema>;
