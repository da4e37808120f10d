// Listens on a Unix socket whose file has its owner and mode before anybody can connect, or on a TCP port with TLS.
import { chmodSync, chownSync, readFileSync, renameSync, rmSync } from "node:fs";
import http, { type RequestListener, type Server } from "node:http";
import https from "node:https";
import type { Server as NetServer } from "node:net";
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from "node:tls";
import type { ListenAddress } from "../contract/endpoint.ts";

export interface SocketOwner {
  uid?: number;
  gid?: number;
  mode: number;
}
/** Files of the platform's own certificate, PEM. */
export interface TlsFiles {
  certificate: string;
  key: string;
  /** Where not everybody may connect: who shows a certificate of this authority (PEM) for this name. */
  clients?: { ca: string; name: string };
}

/** Over TCP only with TLS: what is said here carries the internal secret, or users' tokens. */
export async function listenInternal(
  listener: RequestListener,
  address: ListenAddress,
  owner: SocketOwner,
  tls?: TlsFiles,
): Promise<Server> {
  if (address.kind === "unix") {
    const server = http.createServer(listener);
    await listenUnix(server, address.path, owner);
    return server;
  }
  if (tls === undefined) throw new Error("A listener on TCP needs FNCTL_INTERNAL_CERT_FILE and FNCTL_INTERNAL_KEY_FILE.");
  const { clients } = tls;
  const who = clients === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: clients.ca };
  const options = { cert: readFileSync(tls.certificate), key: readFileSync(tls.key), minVersion: "TLSv1.3", ...who } as const;
  const server = https.createServer(options, clients === undefined ? listener : onlyFor(clients.name, listener));
  await bound(server, () => server.listen(address.port, address.host));
  return server;
}

/** The authority may have signed for others, too. With each request: what came with the handshake is read before any event of the connection. */
const onlyFor =
  (name: string, listener: RequestListener): RequestListener =>
  (request, response) => {
    // Null for a second request behind one that was refused.
    const certificate = (request.socket as TLSSocket).getPeerCertificate() as PeerCertificate | null;
    if (certificate !== null && checkServerIdentity(name, certificate) === undefined) listener(request, response);
    else request.socket.destroy();
  };

/** Binds under another name first: the socket appears at `path` only when its permissions are right. */
export async function listenUnix(server: NetServer, path: string, owner: SocketOwner): Promise<void> {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  await bound(server, () => server.listen(draft));
  chmodSync(draft, owner.mode);
  if (owner.uid !== undefined || owner.gid !== undefined) chownSync(draft, owner.uid ?? -1, owner.gid ?? -1);
  renameSync(draft, path);
}

const bound = (server: NetServer, begin: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    begin();
  });
