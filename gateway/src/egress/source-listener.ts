// The listener that one sandbox sees: it serves CONNECT, and questions about names, on the sandbox's own Unix socket.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { EGRESS_CREDENTIAL_PATH } from "@fnctl/control-plane/contract/egress-credential";
import { PROBLEM_TYPE, PlatformError } from "@fnctl/control-plane/contract/errors";
import { EGRESS_LIMITS } from "./limits.ts";
import { egressProblem } from "./refusal.ts";

/** Who asks, where that is not the listener itself. */
export interface Caller {
  proxyAuthorization: string | undefined;
  client: Duplex;
}
export interface ConnectRequest extends Caller {
  authority: string;
  host: string | undefined;
  head: Buffer;
}
export interface SourceHandlers {
  onConnect(request: ConnectRequest): void;
  /** The ports of a name, or why there are none. Absent: nobody asks. */
  onName?(name: string, gone: AbortSignal, caller: Caller): Promise<number[]>;
  /** A new credential. Absent: there are none. */
  onCredential?(caller: Caller): Promise<string>;
  maxConnections(): number;
}
const NAME_PATH = /^\/names\/([^/?#\s]{1,253})$/;

export function createSourceServer({ onConnect, onName, onCredential, maxConnections }: SourceHandlers): Server {
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: EGRESS_LIMITS.headerBytes,
    headersTimeout: EGRESS_LIMITS.headersMs,
    requestTimeout: EGRESS_LIMITS.headersMs,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 1_000,
  });
  /** Connections that are being closed behind an answer; what was sent behind their request is not served. */
  const ending = new WeakSet<Duplex>();
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on("error", () => undefined); // Node has taken its own listener off, and whoever serves may not have come to it yet
    if (ending.has(client)) return void client.destroy();
    const hosts = request.rawHeaders.filter(
      (_value, index) => index % 2 === 0 && request.rawHeaders[index]?.toLowerCase() === "host",
    ).length;
    // Two Host fields are ambiguous, so they are replaced by a value that no target matches.
    const host = hosts > 1 ? "\0" : request.headers.host;
    onConnect({ authority: request.url ?? "", host, proxyAuthorization: request.headers["proxy-authorization"], client, head });
  });
  server.on("request", (request, response) => {
    if (ending.has(request.socket)) return cut(request.socket);
    ending.add(request.socket);
    request.resume();
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const question = request.method === "GET" ? questionOf(request, gone.signal) : undefined;
    if (question === undefined) return refuse(response, CONNECT_ONLY, { allow: "CONNECT" });
    question.then(
      (text) => response.writeHead(200, { "content-type": "text/plain", connection: "close" }).end(`${text}\n`),
      (error: unknown) => refuse(response, error),
    );
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    else socket.destroy();
  });
  // This limit also counts connections that have not sent a request yet; tunnels are counted separately.
  server.on("connection", (socket) => {
    server.getConnections((_error, count) => {
      if (count > maxConnections() + 16) socket.destroy();
    });
  });
  return server;

  function questionOf(request: IncomingMessage, gone: AbortSignal): Promise<string> | undefined {
    const caller = { proxyAuthorization: request.headers["proxy-authorization"], client: request.socket };
    if (request.url === EGRESS_CREDENTIAL_PATH) return onCredential?.(caller);
    const name = NAME_PATH.exec(request.url ?? "")?.[1];
    return name === undefined ? undefined : onName?.(name, gone, caller).then((ports) => ports.join(" "));
  }
}

/**
 * One question of a connection. Node hands over every request that a read holds, up to two thousand, and each costs kilobytes for as long as the
 * first one waits: without anybody to take them they are nothing. `parser` is Node's own; where it is not there, no more than that is lost.
 */
function cut(socket: Socket & { parser?: { onIncoming: unknown } | null }): void {
  if (socket.parser) socket.parser.onIncoming = () => 0;
  socket.destroy();
}

const CONNECT_ONLY = new PlatformError("METHOD_NOT_ALLOWED", "This proxy speaks CONNECT only.", {
  hint: "Use https:// addresses, or a client that tunnels plain HTTP through CONNECT.",
});
function refuse(response: ServerResponse, error: unknown, fields: Record<string, string> = {}): void {
  const { problem } = egressProblem(error);
  response.writeHead(problem.status, { "content-type": PROBLEM_TYPE, connection: "close", ...fields }).end(JSON.stringify(problem));
}
