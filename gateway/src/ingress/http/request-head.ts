// Reads and checks a request's head in one pass (SECURITY D1-D3, D5). It is stricter than Node's parser.
import type { IncomingMessage } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { isSpoof, nominatedNames, withoutNames } from "./header-names.ts";

export class RequestHead {
  host = "";
  /** The client's end-to-end fields, as a flat list with lower-case names, without those that ingress sets itself. */
  headers: string[] = [];
  authorization: string | undefined = undefined;
  requestId: string | undefined = undefined;
  forwardedFor: string | undefined = undefined;
  forwardedProto: string | undefined = undefined;
  origin: string | undefined = undefined;
  preflightMethod: string | undefined = undefined;
  preflightHeaders: string | undefined = undefined;
  /** Bytes of the body; -1 for a chunked body. */
  contentLength = 0;
  expectsContinue = false;
}

// RFC 9110 section 8.6: digits only. A JavaScript number cannot represent every value of more than 15 digits.
const CONTENT_LENGTH = /^\d{1,15}$/;
// Methods that may not have a body here, because a body on them is a known way to desynchronise a peer.
const BODILESS = new Set(["GET", "HEAD"]);
const REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/;

const bad = (detail: string): never => {
  throw new PlatformError("BAD_REQUEST", detail);
};

/** Throws a PlatformError for a head that must not be served. */
export function readHead(request: IncomingMessage): RequestHead {
  if (request.httpVersion !== "1.1" && request.httpVersion !== "1.0") bad("Only HTTP/1.1 and HTTP/1.0 are spoken here.");
  const raw = request.rawHeaders;
  if (raw.length > 2 * LIMITS.headerCount)
    throw new PlatformError("HEADERS_TOO_LARGE", `The request has more than ${LIMITS.headerCount} header fields.`);
  const head = new RequestHead();
  const framing = FRAMING.clear();
  for (let i = 0; i < raw.length; i += 2) readField(head, framing, raw[i]!.toLowerCase(), raw[i + 1]!);
  judge(request, head, framing);
  return head;
}

class Framing {
  hosts = 0;
  lengths = 0;
  encodings = 0;
  encoding = "";
  connection: string | undefined = undefined;
  upgrade = false;
  authorizations = 0;
  clear(): this {
    this.hosts = this.lengths = this.encodings = this.authorizations = 0;
    this.encoding = "";
    this.connection = undefined;
    this.upgrade = false;
    return this;
  }
}
/** One shared object, because each head is read synchronously from its first to its last field. */
const FRAMING = new Framing();

function readField(head: RequestHead, framing: Framing, name: string, value: string): void {
  switch (name) {
    case "host":
      framing.hosts += 1;
      head.host = value;
      return;
    case "connection":
      framing.connection = framing.connection === undefined ? value : `${framing.connection},${value}`;
      return;
    case "content-length":
      framing.lengths += 1;
      if (!CONTENT_LENGTH.test(value)) bad("Content-Length is not a number.");
      head.contentLength = Number(value);
      return;
    case "transfer-encoding":
      framing.encodings += 1;
      framing.encoding = value;
      return;
    case "authorization":
      framing.authorizations += 1;
      head.authorization = value;
      return;
    case "x-request-id":
      head.requestId = REQUEST_ID.test(value) ? value : undefined;
      return;
    case "upgrade":
      framing.upgrade = true;
      return;
    case "expect":
      if (value.toLowerCase() !== "100-continue") bad("Only `Expect: 100-continue` is understood.");
      head.expectsContinue = true;
      return;
    default:
      readOther(head, name, value);
  }
}

function readOther(head: RequestHead, name: string, value: string): void {
  switch (name) {
    case "keep-alive":
    case "proxy-connection":
    case "proxy-authorization":
    case "proxy-authenticate":
    case "proxy-authentication-info":
    case "te":
    case "trailer":
    case "http2-settings":
    case "forwarded":
    case "x-real-ip":
      return;
    case "x-forwarded-for":
      head.forwardedFor = head.forwardedFor === undefined ? value : `${head.forwardedFor}, ${value}`;
      return;
    case "x-forwarded-proto":
      head.forwardedProto = value;
      return;
    case "origin":
      head.origin = value;
      break;
    case "access-control-request-method":
      head.preflightMethod = value;
      break;
    case "access-control-request-headers":
      head.preflightHeaders = value;
      break;
    default:
      // `x-f` and `_` are rare, so these two tests save the function call for most names.
      if ((name.startsWith("x-f") || name.includes("_")) && isSpoof(name)) return;
  }
  head.headers.push(name, value);
}

function judge(request: IncomingMessage, head: RequestHead, framing: Framing): void {
  if (framing.hosts !== 1) bad("The request must carry exactly one Host field.");
  if (framing.upgrade)
    throw new PlatformError("UPGRADE_UNSUPPORTED", "Protocol upgrades (WebSocket, h2c) are not supported.", {
      hint: "Use server-sent events or plain streaming.",
    });
  if (framing.lengths > 1 || framing.encodings > 1 || framing.lengths + framing.encodings > 1)
    bad("The length of the body is given twice.");
  if (framing.authorizations > 1) bad("The request carries more than one Authorization field.");
  if (framing.encodings === 1) {
    if (request.httpVersion === "1.0") bad("HTTP/1.0 has no Transfer-Encoding.");
    if (framing.encoding.trim().toLowerCase() !== "chunked") bad("The only Transfer-Encoding is chunked.");
    head.contentLength = -1;
  }
  if (head.contentLength !== 0 && BODILESS.has(request.method!)) bad(`A ${request.method} request has no body here.`);
  if (head.contentLength > LIMITS.requestBodyBytes)
    throw new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.requestBodyBytes} bytes.`);
  const nominated = framing.connection === undefined ? undefined : nominatedNames(framing.connection);
  if (nominated !== undefined) head.headers = withoutNames(head.headers, nominated);
}
