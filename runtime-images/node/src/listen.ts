// Binds the socket, or the port in a pod. Bound is what the platform takes for "idle".
import { chmodSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { PodSettings } from "./pod.ts";

const KIB = 1024;
// The only peer is ingress, which has its own time limits and owns the idle connections: closing one from here would race with its next request.
const OPTIONS = {
  keepAliveTimeout: 0,
  requestTimeout: 0,
  headersTimeout: 0,
  connectionsCheckingInterval: 3_600_000,
  maxHeaderSize: 64 * KIB,
};

export interface Listening {
  /** Takes no new connection, lets the running requests end, then calls back. */
  drain(done: () => void): void;
}

export async function listen(at: string | PodSettings, listener: RequestListener): Promise<Listening> {
  const server = typeof at === "string" ? createServer(OPTIONS, listener) : await tlsServer(at, listener);
  server.maxHeadersCount = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (typeof at !== "string") return server.listen(at.port, () => resolve());
    return server.listen({ path: at }, () => {
      // The peer runs under another uid than the sandbox.
      chmodSync(at, 0o666);
      resolve();
    });
  });
  return { drain: (done) => void server.close(done) };
}

/** node:https only where it is used: it costs memory that an idle instance on one machine does not have to spend. */
async function tlsServer({ key, certificate }: PodSettings, listener: RequestListener): Promise<Server> {
  const https = await import("node:https");
  return https.createServer({ ...OPTIONS, key, cert: certificate, minVersion: "TLSv1.3", ALPNProtocols: ["http/1.1"] }, listener);
}
