// Keeps one connection to each pod, from its first answer until it has got its code and `init`: a TLS handshake with a sandbox costs
// milliseconds, and a cold start would pay for two. The connection proves which pod answers, so it is never reused for another address.
import { Client } from "undici";
import { dialOf, type Address } from "../contract/instance-address.ts";

const CONNECT_MS = 5_000;
/** The most bytes in an answer to any of these calls. */
const ANSWER_CAP = 64 * 1024;

export function createStandingConnections() {
  const open = new Map<string, Client>();

  function drop(id: string): void {
    const client = open.get(id);
    open.delete(id);
    void client?.destroy().catch(() => undefined);
  }
  return {
    /** The connection to this pod, opened if needed. It has no time limit of its own: the caller's requests carry theirs. */
    to(id: string, address: Address): Client {
      const known = open.get(id);
      if (known !== undefined && !known.destroyed) return known;
      const dial = dialOf(address, id, CONNECT_MS);
      const client = new Client(dial.origin, { connect: dial.connect, maxResponseSize: ANSWER_CAP });
      open.set(id, client);
      return client;
    },
    /** Hands the connection over to the caller, who must destroy it. */
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
