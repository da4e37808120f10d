// Where an instance listens, and how it is dialled so that no byte of a request, code or secret reaches anybody else (SECURITY B8, I1).
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
  /** For undici's `connect`: options of net.connect and tls.connect. */
  connect:
    | { socketPath: string }
    | { ca: string; servername: string; minVersion: "TLSv1.3"; rejectUnauthorized: true; maxCachedSessions: 0 };
}

/** How undici reaches the instance `id`. The handshake is whole on every connection: an address may be another pod's by then. */
export function dialOf(address: Address, id: string): Dial {
  if (address.kind === "unix") return { origin: "http://instance", connect: { socketPath: address.path } };
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    origin: `https://${host}:${address.port}`,
    connect: { ca: address.pin, servername: id, minVersion: "TLSv1.3", rejectUnauthorized: true, maxCachedSessions: 0 },
  };
}
