// Where an instance listens, and how it is dialled so that no byte of a request, code or secret reaches anybody else (SECURITY B8, I1).
import { buildConnector } from "undici";
import { z } from "zod";

export const addressSchema = z.discriminatedUnion("kind", [
  /** One machine: the driver's own name of the socket is the identity. */
  z.object({ kind: z.literal("unix"), path: z.string() }),
  /** Pods. `pin`: the instance's own certificate, PEM, for the one name that its id is; nothing else is trusted there. */
  z.object({ kind: z.literal("tls"), host: z.string(), port: z.int(), pin: z.string() }),
]);
export type Address = z.infer<typeof addressSchema>;

export interface Dial {
  origin: string;
  /** For undici's `connect`. */
  connect: buildConnector.connector;
}

/** How undici reaches the instance `id`. `timeoutMs`: for a connection to stand, handshake included. */
export function dialOf(address: Address, id: string, timeoutMs: number): Dial {
  if (address.kind === "unix")
    return { origin: "http://instance", connect: buildConnector({ socketPath: address.path, timeout: timeoutMs }) };
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const pinned = buildConnector({
    ca: address.pin,
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
    // The handshake is whole on every connection: an address may be another pod's by then.
    maxCachedSessions: 0,
    timeout: timeoutMs,
  });
  // undici would ask for the name in the request's Host header, which is the client's.
  return { origin: `https://${host}:${address.port}`, connect: (options, callback) => pinned({ ...options, servername: id }, callback) };
}
