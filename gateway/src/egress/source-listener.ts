// The listener that one sandbox sees: it serves CONNECT, plain requests in absolute form, and questions about names, on the sandbox's own Unix socket.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { EGRESS_CREDENTIAL_PATH } from "@fnctl/control-plane/contract/egress-credential";
import { PROBLEM_TYPE, PlatformError } from "@fnctl/control-plane/contract/errors";
import type { RecordType } from "./dns-records.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { isAbsolute } from "./plain-target.ts";
import { createTurnAway, egressProblem } from "./refusal.ts";

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
  /** Absent: plain requests are not served. */
  onPlain?(exchange: { request: IncomingMessage; response: ServerResponse }): void;
  /** The ports of a name, or why there are none. Absent: nobody asks. */
  onName?(name: string, gone: AbortSignal, caller: Caller): Promise<number[]>;
  /** SRV or TXT records of a name, as a resolver's answer holds them. Absent: nobody asks. */
  onRecords?(type: RecordType, name: string, gone: AbortSignal, caller: Caller): Promise<Buffer[]>;
  /** A new credential. Absent: there are none. */
  onCredential?(caller: Caller): Promise<string>;
  maxConnections(): number;
}
type Questions = Pick<SourceHandlers, "onName" | "onRecords" | "onCredential">;
const QUESTION_PATH = /^\/(names|srv|txt)\/([^/?#\s]{1,253})$/;

export function createSourceServer({ onConnect, onPlain, maxConnections, ...questions }: SourceHandlers): Server {
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: EGRESS_LIMITS.headerBytes,
    headersTimeout: EGRESS_LIMITS.headersMs,
    requestTimeout: 0, // a body may take its time, as what a tunnel carries may
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 1_000,
  });
  server.maxHeadersCount = 0; // their bytes are bounded, and Node drops what is beyond a number without a word
  /** Connections that are being closed behind an answer; what was sent behind their request is not served. */
  const ending = new WeakSet<Duplex>();
  const isEnding = (client: Duplex): boolean => ending.has(client) || !client.writable;
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on("error", () => undefined); // Node has taken its own listener off, and whoever serves may not have come to it yet
    if (isEnding(client)) return void client.destroy();
    const hosts = request.rawHeaders.filter(
      (_value, index) => index % 2 === 0 && request.rawHeaders[index]?.toLowerCase() === "host",
    ).length;
    // Two Host fields are ambiguous, so they are replaced by a value that no target matches.
    const host = hosts > 1 ? "\0" : request.headers.host;
    onConnect({ ...callerOf(request), authority: request.url ?? "", host, client, head });
  });
  function requested(request: IncomingMessage, response: ServerResponse): void {
    if (isEnding(request.socket)) return cut(request.socket);
    ending.add(request.socket);
    if (onPlain !== undefined && isAbsolute(request.url ?? "")) return onPlain({ request, response });
    request.resume();
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const answer = answerOf(questions, request, gone.signal);
    if (answer === undefined) return refuse(response, NOT_FOR_A_PROXY, { allow: "CONNECT" });
    answer.then(
      (text) => response.writeHead(200, { "content-type": "text/plain", connection: "close" }).end(text),
      (error: unknown) => refuse(response, error),
    );
  }
  server.on("request", requested);
  // Whether the body shall come is for whoever the request is for to say (RFC 9110 section 10.1.1).
  server.on("checkContinue", requested);
  server.on("checkExpectation", requested); // Node would answer 417 and take the next one, as fast as they come
  server.on("clientError", (_error, socket) => {
    if (socket.writable && !ending.has(socket)) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    else socket.destroy();
  });
  const turnAway = createTurnAway();
  // This limit also counts connections that have not sent a request yet; tunnels are counted separately.
  server.on("connection", (socket) => {
    server.getConnections((_error, count) => {
      if (count > maxConnections() + 16 && !isEnding(socket)) turnAway(socket, `More than ${maxConnections()} connections at once.`);
    });
  });
  return server;
}

export const callerOf = ({ headers, socket }: IncomingMessage): Caller => ({
  proxyAuthorization: headers["proxy-authorization"],
  client: socket,
});

/** What a sandbox's resolver asked for, a line an answer of a list; undefined: it is no question, or nobody answers such. */
function answerOf(
  { onName, onRecords, onCredential }: Questions,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<string> | undefined {
  const { method, url = "" } = request;
  if (method !== "GET") return undefined;
  if (url === EGRESS_CREDENTIAL_PATH) return onCredential?.(callerOf(request)).then((credential) => `${credential}\n`);
  const [, kind, name] = QUESTION_PATH.exec(url) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  if (kind === "names") return onName?.(name, gone, callerOf(request)).then((ports) => `${ports.join(" ")}\n`);
  return onRecords?.(kind as RecordType, name, gone, callerOf(request)).then((records) =>
    records.map((record) => `${record.toString("hex")}\n`).join(""),
  );
}

/**
 * One question of a connection. Node hands over every request that a read holds, up to two thousand, and each costs kilobytes for as long as the
 * first one waits: without anybody to take them they are nothing. `parser` is Node's own; where it is not there, no more than that is lost.
 */
function cut(socket: Socket & { parser?: { onIncoming: unknown } | null }): void {
  if (socket.parser) socket.parser.onIncoming = () => 0;
  socket.destroy();
}

const NOT_FOR_A_PROXY = new PlatformError("METHOD_NOT_ALLOWED", "This is a proxy, which serves no paths of its own.", {
  hint: "Send CONNECT host:port, or a whole http:// address as the request's target.",
});
function refuse(response: ServerResponse, error: unknown, fields: Record<string, string> = {}): void {
  const { problem } = egressProblem(error);
  response.writeHead(problem.status, { "content-type": PROBLEM_TYPE, connection: "close", ...fields }).end(JSON.stringify(problem));
}
