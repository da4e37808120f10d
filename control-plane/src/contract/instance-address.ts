// Where an instance listens, and how it is dialled so that no byte of a request, of code or of a secret reaches another process (SECURITY
// B8, I1).
import { buildConnector } from "undici";
import { z } from "zod";

export const addressSchema = z.discriminatedUnion("kind", [
  /** On one machine the socket's path, which the driver chose, identifies the instance. */
  z.object({ kind: z.literal("unix"), path: z.string() }),
  /** In pods. `pin`: the instance's own certificate, PEM, made for its id as name; no other certificate is trusted. */
  z.object({ kind: z.literal("tls"), host: z.string(), port: z.int(), pin: z.string() }),
]);
export type Address = z.infer<typeof addressSchema>;

export interface Dial {
  origin: string;
  /** The value for undici's option `connect`. */
  connect: buildConnector.connector;
}

/** How undici reaches the instance `id`. `timeoutMs`: longest time for a connection to be made, handshake included. */
export function dialOf(address: Address, id: string, timeoutMs: number): Dial {
  if (address.kind === "unix")
    return { origin: "http://instance", connect: buildConnector({ socketPath: address.path, timeout: timeoutMs }) };
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const pinned = buildConnector({
    ca: address.pin,
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
    // Every connection makes a full handshake without resuming a session, because the address may be another pod's by then.
    maxCachedSessions: 0,
    timeout: timeoutMs,
  });
  // undici would ask for the name in the request's Host header, which is the client's.
  return { origin: `https://${host}:${address.port}`, connect: (options, callback) => pinned({ ...options, servername: id }, callback) };
}
