// Listens on a Unix socket whose file has its owner and mode before anybody can connect, or on a TCP port with TLS.
import { chmodSync, chownSync, readFileSync, renameSync, rmSync } from "node:fs";
import http, { type RequestListener, type Server } from "node:http";
import https from "node:https";
import { connect, type AddressInfo, type Server as NetServer } from "node:net";
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from "node:tls";
import type { ListenAddress } from "../../contract/endpoint.ts";
import { PlatformError } from "../../contract/errors.ts";

/** The most connections that wait to be accepted (listen(2)). */
const BACKLOG = 1024;

export interface SocketOwner {
  uid?: number;
  gid?: number;
  mode: number;
}
/** Files of the platform's own certificate, PEM. */
export interface TlsFiles {
  certificate: string;
  key: string;
  /** If set, only clients may connect that show a certificate of this authority (PEM) for this name. */
  clients?: { ca: string; name: string };
}

/** On TCP it listens with TLS only, because requests carry the internal secret or users' tokens. */
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

/**
 * Checks the name, because the authority may have signed other names, too. It does so for each request, because a request that arrives
 * together with the handshake is read before any event of the connection.
 */
const onlyFor =
  (name: string, listener: RequestListener): RequestListener =>
  (request, response) => {
    // The certificate is null for a second request behind a refused one.
    const certificate = (request.socket as TLSSocket).getPeerCertificate() as PeerCertificate | null;
    if (certificate !== null && checkServerIdentity(name, certificate) === undefined) listener(request, response);
    else request.socket.destroy();
  };

export interface OpenListener {
  server: NetServer;
  /** The actual address: port 0 is replaced by the assigned port. */
  address: ListenAddress;
}

/**
 * On TCP it listens without TLS, for public clients and for protocols other than the platform's own. Throws CONFLICT if another process
 * listens there.
 */
export async function openListener(server: NetServer, address: ListenAddress, owner: SocketOwner): Promise<OpenListener> {
  if (address.kind === "unix") {
    await listenUnix(server, address.path, owner);
    return { server, address };
  }
  await bound(server, () => server.listen({ host: address.host, port: address.port, backlog: BACKLOG }));
  return { server, address: { ...address, port: (server.address() as AddressInfo).port } };
}
/** Resolves when the last connection of the listener has ended. */
export function closeListener({ server, address }: OpenListener): Promise<void> {
  if (address.kind === "unix") rmSync(address.path, { force: true }); // Node would remove the draft name under which it was bound
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * Binds under another name first, so that the socket appears at `path` only when its permissions are right. A stale socket of a killed
 * process is replaced; a live one is CONFLICT.
 */
export async function listenUnix(server: NetServer, path: string, owner: SocketOwner): Promise<void> {
  if (await answers(path)) throw new PlatformError("CONFLICT", `Another process listens on ${path}.`);
  const draft = `${path.slice(0, -1)}${path.endsWith("~") ? "+" : "~"}`; // no longer than `path`, which may have the maximum length
  rmSync(draft, { force: true });
  await bound(server, () => server.listen({ path: draft, backlog: BACKLOG }));
  chmodSync(draft, owner.mode);
  if (owner.uid !== undefined || owner.gid !== undefined) chownSync(draft, owner.uid ?? -1, owner.gid ?? -1);
  renameSync(draft, path);
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

const bound = (server: NetServer, begin: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    begin();
  });
