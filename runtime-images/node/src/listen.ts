// Binds the socket. A bound socket is what the platform takes for "idle".
import { chmodSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";

const KIB = 1024;

export interface Listening {
  /** Takes no new connection, lets the running requests end, then calls back. */
  drain(done: () => void): void;
}

export function listen(socketPath: string, listener: RequestListener): Promise<Listening> {
  // The only peer is ingress, which has its own time limits and owns the idle connections: closing one from here would race with its next request.
  const server = createServer(
    { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, connectionsCheckingInterval: 3_600_000, maxHeaderSize: 64 * KIB },
    listener,
  );
  server.maxHeadersCount = 0;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path: socketPath }, () => {
      // The peer runs under another uid than the sandbox.
      chmodSync(socketPath, 0o666);
      resolve({ drain: (done) => void server.close(done) });
    });
  });
}
