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

/** Fields as undici gives them: lower-case names, and a list where a name came more than once. */
export type Fields = Readonly<Record<string, string | string[] | undefined>>;

export function readResponseHead(fields: Fields, rules: ResponseRules): ResponseHead {
  const head = new ResponseHead();
  const { connection } = fields;
  for (const name of Object.keys(fields)) {
    const value = fields[name]!;
    if (typeof value === "string") readResponseField(head, rules, name, value);
    else for (const one of value) readResponseField(head, rules, name, one);
  }
  const nominated = connection === undefined ? undefined : nominatedNames(String(connection));
  if (nominated !== undefined) head.headers = withoutNames(head.headers, nominated);
  // A length beside chunked coding contradicts it (RFC 9112 section 6.3): the coding counts, and the length is dropped.
  if (head.chunked) head.contentLength = -1;
  return head;
}

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
export function readTrailers(fields: Fields): [string, string][] {
  const trailers: [string, string][] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (HOP_BY_HOP.has(name) || isPlatformName(name) || FORBIDDEN_TRAILERS.has(name) || ORIGIN_WIDE.has(name)) continue;
    for (const one of [value ?? []].flat()) trailers.push([name, one]);
  }
  return trailers.slice(0, 50);
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
