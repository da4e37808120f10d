// Sends every refusal as problem+json (RFC 9457).
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import { PROBLEM_TYPE, toProblem, type Problem } from "@fnctl/control-plane/contract/errors";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Call } from "../call/call.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { HttpCaller } from "./http-caller.ts";
import { addPlatformFields } from "./platform-fields.ts";
import { newRequestId } from "../call/request-id.ts";

/** The problem that answers a call; notes its status. */
export function problemOf(call: Call, error: PlatformError): Problem {
  // If the head could not be read, the request has no id yet.
  call.requestId ||= newRequestId();
  const problem = toProblem(error, call.requestId);
  call.status = problem.status;
  return problem;
}

/** Sends the problem as the answer. */
export function sendProblem(caller: HttpCaller, problem: Problem): void {
  const { call, request, response } = caller;
  const body = JSON.stringify(problem);
  const unread = hasUnreadBody(caller);
  if (unread || caller.head === undefined) (request.socket as EndingSocket)[kEnding] = true;
  // What could not be read is not trusted to end where it seems to end.
  response.writeHead(problem.status, problemFields(caller, problem, body, unread || caller.head === undefined));
  if (call.method === "HEAD") caller.end();
  else if (!unread || caller.head?.expectsContinue === true) caller.end(Buffer.from(body));
  else linger(caller, body);
}

function problemFields({ call }: HttpCaller, problem: Problem, body: string, closes: boolean): string[] {
  const headers = [
    "content-type",
    PROBLEM_TYPE,
    "content-length",
    String(Buffer.byteLength(body)),
    "cache-control",
    "no-store",
    "x-content-type-options",
    "nosniff",
    ...retryHeaders(problem),
  ];
  addPlatformFields(headers, call, false);
  if (problem.code === "UNAUTHENTICATED") headers.push("www-authenticate", "Bearer");
  if (closes) headers.push("connection", "close");
  return headers;
}

/** Set on a connection that its current answer will close: further requests that the client sent on it are not served. */
export const kEnding = Symbol("ending");
export type EndingSocket = Socket & { [kEnding]?: boolean };

/** Whether a body may be unread, which must not be parsed as the next request. A head that could not be read may have a body, too. */
const hasUnreadBody = ({ request, head }: HttpCaller): boolean =>
  !request.complete && !request.readableEnded && (head === undefined || head.contentLength !== 0);

/**
 * Closing a connection with unread bytes resets it, and the client may then never see the answer (RFC 9112 section 9.6). So the
 * whole answer is sent first, and the connection is closed a little later, so that the client can stop sending.
 */
function linger({ request, response }: HttpCaller, body: string): void {
  response.write(body);
  readOff(request, () => response.end());
}

/** What of a body was not read before its answer was whole. More than a little, and the connection ends: it cannot serve another request. */
export function discardRest(request: IncomingMessage): void {
  readOff(request, () => {
    if (!request.complete) request.socket.destroy();
  });
}

/** Reads the rest of a body, a little of it and for a short time, and then calls `done`, once. */
function readOff(request: IncomingMessage, done: () => void): void {
  let bytes = 0;
  const timer = setTimeout(end, GATEWAY_LIMITS.lingerMs);
  function read(chunk: Buffer): void {
    bytes += chunk.length;
    if (bytes > GATEWAY_LIMITS.lingerBytes) end();
  }
  function end(): void {
    clearTimeout(timer);
    request.off("data", read).off("end", end).off("close", end);
    done();
  }
  request.on("data", read).once("end", end).once("close", end);
  request.resume();
}

/** Fields by draft-ietf-httpapi-ratelimit-headers; `r` is the remaining quota, `t` the seconds until there is more. */
function retryHeaders({ code, facts }: Problem): string[] {
  const seconds = facts?.["retryAfterSeconds"];
  if (typeof seconds === "number") return ["retry-after", String(Math.ceil(seconds))];
  if (code === "CONCURRENCY_EXCEEDED" || code === "RATE_LIMITED" || code === "QUOTA_EXCEEDED")
    return ["retry-after", "1", "ratelimit", '"concurrency";r=0;t=1'];
  if (code === "CAPACITY_UNAVAILABLE" || code === "UNAVAILABLE" || code === "SHUTTING_DOWN") return ["retry-after", "2"];
  return [];
}

/** The bytes of a problem answer, for connections whose request could not even be parsed. */
export function rawProblem(error: PlatformError, requestId: string): string {
  const body = JSON.stringify(toProblem(error, requestId));
  return `HTTP/1.1 ${error.status} ${STATUS_TEXT[error.status] ?? "Error"}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${requestId}\r\nconnection: close\r\n\r\n${body}`;
}
const STATUS_TEXT: Record<number, string> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  503: "Service Unavailable",
};
