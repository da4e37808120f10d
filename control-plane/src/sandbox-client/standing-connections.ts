// One connection to each pod, from its first answer until it has been given its code and `init`: a TLS handshake with a sandbox costs
// milliseconds, and a cold start would pay for two. The connection is the proof of who answers, so it is never one to another address.
import { Client } from "undici";
import { dialOf, type Address } from "../contract/instance-address.ts";

const CONNECT_MS = 5_000;
/** Most that any of these calls may answer. */
const ANSWER_CAP = 64 * 1024;

export function createStandingConnections() {
  const open = new Map<string, Client>();

  function drop(id: string): void {
    const client = open.get(id);
    open.delete(id);
    void client?.destroy().catch(() => undefined);
  }
  return {
    /** The caller's requests carry their own deadlines. */
    to(id: string, address: Address): Client {
      const known = open.get(id);
      if (known !== undefined && !known.destroyed) return known;
      const dial = dialOf(address, id, CONNECT_MS);
      const client = new Client(dial.origin, { connect: dial.connect, maxResponseSize: ANSWER_CAP });
      open.set(id, client);
      return client;
    },
    /** From now on the caller's to destroy. */
    take(id: string): Client | undefined {
      const client = open.get(id);
      open.delete(id);
      return client;
    },
    drop,
    close(): void {
      for (const id of open.keys()) drop(id);
    },
  };
}
export type StandingConnections = ReturnType<typeof createStandingConnections>;
