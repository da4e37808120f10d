// Selects the fields of a function's response that go to the client (SECURITY D3): end-to-end fields only, and none that belongs to the
// platform.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { HOP_BY_HOP, isPlatformName, nominatedNames, withoutNames } from "./header-names.ts";

export class ResponseHead {
  headers: string[] = [];
  /** Bytes of the body; -1 if not given. */
  contentLength = -1;
  chunked = false;
  hasCors = false;
}

export interface ResponseRules {
  /** Drop cookies, because path routes on public names share one origin (SECURITY I4). */
  dropCookies: boolean;
  /** Drop fields that affect the whole origin, because the API and other functions have the same origin. */
  sharesOrigin: boolean;
}

const badResponse = (detail: string): never => {
  throw new PlatformError("FUNCTION_BAD_RESPONSE", detail, { hint: "Look at the function's code that sets this header." });
};

/** `raw` is undici's flat list of names and values, as Buffers. */
export function readResponseHead(raw: readonly (Buffer | string)[], rules: ResponseRules): ResponseHead {
  const head = new ResponseHead();
  let connection: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = text(raw[i]!).toLowerCase();
    const value = text(raw[i + 1]!);
    if (name === "connection") connection = connection === undefined ? value : `${connection},${value}`;
    else readResponseField(head, rules, name, value);
  }
  const nominated = connection === undefined ? undefined : nominatedNames(connection);
  if (nominated !== undefined) head.headers = withoutNames(head.headers, nominated);
  // A length beside chunked coding contradicts it (RFC 9112 section 6.3): the coding counts, and the length is dropped.
  if (head.chunked) head.contentLength = -1;
  return head;
}

const text = (value: Buffer | string): string => (typeof value === "string" ? value : value.toString("latin1"));

function readResponseField(head: ResponseHead, rules: ResponseRules, name: string, value: string): void {
  switch (name) {
    case "content-length":
      if (head.contentLength !== -1) badResponse("The function's answer gives its length twice.");
      // undici checks the length, but not on an answer to HEAD.
      if (!/^\d{1,15}$/.test(value)) badResponse("The function's answer gives no valid length.");
      head.contentLength = Number(value);
      return;
    case "transfer-encoding":
      head.chunked = true;
      return;
    case "x-request-id":
      return;
    case "set-cookie":
      if (rules.dropCookies) return;
      break;
    case "access-control-allow-origin":
      head.hasCors = true;
      break;
    default:
      if (rules.sharesOrigin && ORIGIN_WIDE.has(name)) return;
      if (name.startsWith("x-f") ? isPlatformName(name) : HOP_BY_HOP.has(name)) return;
  }
  head.headers.push(name, value);
}

/** Fields by which an answer changes what a browser does with its whole origin. */
const ORIGIN_WIDE: ReadonlySet<string> = new Set([
  "accept-ch",
  "alt-svc",
  "alt-used",
  "clear-site-data",
  "critical-ch",
  "expect-ct",
  "nel",
  "origin-agent-cluster",
  "public-key-pins",
  "public-key-pins-report-only",
  "report-to",
  "reporting-endpoints",
  "sec-session-registration",
  "secure-session-registration",
  "service-worker-allowed",
  "set-login",
  "strict-transport-security",
  "use-as-dictionary",
]);

/** Trailers that may follow a response: no framing, routing or hop-by-hop fields (RFC 9110 section 6.5.1). */
export function readTrailers(raw: readonly (Buffer | string)[]): [string, string][] {
  const trailers: [string, string][] = [];
  for (let i = 0; i < raw.length && trailers.length < 50; i += 2) {
    const name = text(raw[i]!).toLowerCase();
    if (HOP_BY_HOP.has(name) || isPlatformName(name) || FORBIDDEN_TRAILERS.has(name) || ORIGIN_WIDE.has(name)) continue;
    trailers.push([name, text(raw[i + 1]!)]);
  }
  return trailers;
}
const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "content-encoding",
  "content-range",
  "host",
  "set-cookie",
  "authorization",
  "cache-control",
  "x-request-id",
]);
