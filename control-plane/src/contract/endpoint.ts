// Where the platform's own parts listen and are called: a Unix socket on one machine, a host and port with TLS in a cluster.
import { buildConnector } from "undici";
import { z } from "zod";

export type ListenAddress = { kind: "tcp"; host: string; port: number } | { kind: "unix"; path: string };

/**
 * Longest time for a connection to be made, handshake included, milliseconds. A service's address still leads to a pod that is gone until
 * the cluster has noticed, and packets sent there are lost silently: a waiting request (LIMITS.queueMs) needs time for a second and a third
 * try.
 */
export const CONNECT_MS = 2_000;
const TCP = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;

/** Longest path of a Unix socket that Linux takes, bytes (unix(7): sun_path, 108 with its NUL). */
const SUN_PATH_BYTES = 107;

const socketPathSchema = z
  .string()
  .startsWith("/", "an absolute path")
  .refine((path) => Buffer.byteLength(path) <= SUN_PATH_BYTES, `at most ${SUN_PATH_BYTES} bytes (unix(7))`);

/** `host:port`, `[v6]:port` (port 0: any free one) or the path of a Unix socket. */
export const listenAddressSchema = z.string().transform((text, context): ListenAddress => {
  if (text.startsWith("/")) {
    const path = socketPathSchema.safeParse(text);
    if (path.success) return { kind: "unix", path: text };
    context.addIssue({ code: "custom", message: path.error.issues[0]?.message ?? "no socket path" });
    return z.NEVER;
  }
  const match = TCP.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535) {
    context.addIssue({ code: "custom", message: "host:port, [v6]:port, or the path of a Unix socket" });
    return z.NEVER;
  }
  return { kind: "tcp", host: match[1].replace(/^\[|\]$/g, ""), port };
});

export interface EndpointDial {
  origin: string;
  /** The value for undici's option `connect`. */
  connect: { socketPath: string } | buildConnector.connector;
}

/** How undici reaches another part. Over TCP only with TLS, trusting `ca` (PEM) alone: these calls carry the internal secret. */
export function dialEndpoint(address: ListenAddress, ca: string | undefined): EndpointDial {
  if (address.kind === "unix") return { origin: "http://internal", connect: { socketPath: address.path } };
  if (ca === undefined) throw new Error("A part that is called over TCP needs FNCTL_INTERNAL_CA_FILE.");
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const trusting = buildConnector({ ca, minVersion: "TLSv1.3", rejectUnauthorized: true, timeout: CONNECT_MS });
  // undici would ask for the name in the request's Host header, which for the API is the client's.
  const connect: buildConnector.connector = (options, callback) => trusting({ ...options, servername: address.host }, callback);
  return { origin: `https://${host}:${address.port}`, connect };
}
