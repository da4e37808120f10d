// The public listener: node:http with every limit set explicitly, and with our own answers where Node has built-in ones.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { kEnding, rawProblem, type EndingSocket } from "./problem.ts";
import { newRequestId } from "../call/request-id.ts";
import { clientNetwork, clientSite } from "./client-network.ts";

interface Deps {
  /** The most at a time. */
  connections: number;
  handle: (request: IncomingMessage, response: ServerResponse) => void;
  metrics: Metrics;
  isTrustedProxy: (address: string | undefined) => boolean;
}

export function createPublicServer(deps: Deps): Server {
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: LIMITS.headerBytes,
    headersTimeout: LIMITS.headersTimeoutMs,
    // The function's own deadline limits the time for a body; this is the maximum of all deadlines.
    requestTimeout: LIMITS.timeoutMaxMs + LIMITS.queueMs,
    keepAliveTimeout: GATEWAY_LIMITS.keepAliveMs,
    // TCP keep-alive, so that a client that vanished without closing does not hold a stream for ever.
    keepAlive: true,
    keepAliveInitialDelay: GATEWAY_LIMITS.probeAfterMs,
    connectionsCheckingInterval: GATEWAY_LIMITS.lateCheckMs,
    joinDuplicateHeaders: false,
    // Our own check answers a missing Host with a problem document.
    requireHostHeader: false,
    // A request without Content-Length and Transfer-Encoding has no body (RFC 9112 section 6.3), so nobody waits for its stream's end.
    optimizeEmptyRequests: true,
    noDelay: true,
  });
  // Node silently drops fields beyond this number. One more than allowed is enough to notice and refuse too many (SECURITY D5).
  server.maxHeadersCount = LIMITS.headerCount + 1;
  server.maxRequestsPerSocket = GATEWAY_LIMITS.requestsPerConnection;
  server.maxConnections = deps.connections;
  server.on("request", deps.handle);
  // `HttpCaller` decides later whether the client may send its body, and then writes the 100 itself.
  server.on("checkContinue", deps.handle);
  server.on("checkExpectation", deps.handle);
  server.on("connect", (_request: IncomingMessage, socket: Duplex) =>
    endRaw(socket, new PlatformError("METHOD_NOT_ALLOWED", "CONNECT is not served.")),
  );
  server.on("clientError", (error, socket) => onClientError(error, socket as HttpSocket));
  server.on("connection", limitConnections(deps));
  server.on("drop", giveUpIdle(server));
  return server;
}

function limitConnections(deps: Deps): (socket: Socket) => void {
  const open = new Map<string, number>();
  const add = (name: string, change: number): void => {
    const count = (open.get(name) ?? 0) + change;
    if (count === 0) open.delete(name);
    else open.set(name, count);
  };
  return (socket) => {
    deps.metrics.connections += 1;
    const peer = socket.remoteAddress;
    socket.once("close", () => (deps.metrics.connections -= 1));
    if (peer === undefined || deps.isTrustedProxy(peer)) return;
    const limits = limitsOf(clientNetwork(peer));
    if (limits.some(([name, most]) => (open.get(name) ?? 0) >= most)) {
      deps.metrics.refusedConnections += 1;
      socket.destroy();
      return;
    }
    for (const [name] of limits) add(name, 1);
    socket.once("close", () => {
      for (const [name] of limits) add(name, -1);
    });
  };
}
function limitsOf(network: string): [string, number][] {
  const site = clientSite(network);
  const own: [string, number] = [network, GATEWAY_LIMITS.connectionsPerAddress];
  return site === undefined ? [own] : [own, [site, GATEWAY_LIMITS.connectionsPerSite]];
}

/** When there is no room for one more, those that are kept for a next request make room; at most once a second, because it looks at all. */
function giveUpIdle(server: Server): () => void {
  let last = -Infinity;
  return () => {
    if (performance.now() - last < 1_000) return;
    last = performance.now();
    server.closeIdleConnections();
  };
}

type HttpSocket = Socket & { _httpMessage?: ServerResponse | null };

/** Answers a request that the parser refused, unless another answer is being sent already; then it only ends the connection. */
function onClientError(error: Error & { code?: string }, socket: HttpSocket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  // A refusal that is being sent is sent to its end; any other answer is cut, so that the client sees that it is incomplete.
  if ((socket as EndingSocket)[kEnding] === true) return socket.destroySoon();
  if (socket._httpMessage?.headersSent === true) return void socket.destroy();
  endRaw(socket, asProblem(error.code ?? ""));
}

function asProblem(code: string): PlatformError {
  if (code === "HPE_HEADER_OVERFLOW")
    return new PlatformError("HEADERS_TOO_LARGE", `The request's header is larger than ${LIMITS.headerBytes} bytes.`);
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new PlatformError("REQUEST_TIMEOUT", "The request did not arrive in time.");
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return new PlatformError("PAYLOAD_TOO_LARGE", "The body's chunk extensions are too long.");
  return new PlatformError("BAD_REQUEST", "The request is no valid HTTP/1.1.");
}

function endRaw(socket: Duplex, error: PlatformError): void {
  socket.on("error", () => {});
  socket.end(rawProblem(error, newRequestId()), () => socket.destroy());
}
