// The request target: origin-form only, and no path that two parsers could read differently (SECURITY D1, D9).
import { PlatformError } from "@fnctl/control-plane/contract/errors";

// Encoded slashes, backslashes, NUL and double encoding have each bypassed a prefix check in some other product.
const AMBIGUOUS = /\\|\/\/|%2f|%5c|%00|%25(?:2e|2f|5c|25|00)/i;
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
const PRINTABLE = /^[\x21-\x7e]+$/;
const RESERVED = /^\/\.fnctl(?:\/|$)/i;
const PATH_ROUTE = /^\/fn\/([a-z0-9-]{1,63})\/([a-z0-9-]{1,63})(\/.*)?$/;

const refuse = (detail: string): never => {
  throw new PlatformError("BAD_REQUEST", detail, { hint: "Send a normalised path: no dot segments, no //, no encoded slashes." });
};

/** The path without its query. Throws BAD_REQUEST for a target that is not unambiguously one path. */
export function readPath(target: string): string {
  if (target.charCodeAt(0) !== 47) refuse("The request target must be a path (origin-form, RFC 9112 section 3.2.1).");
  if (!PRINTABLE.test(target) || target.includes("#")) refuse("The request target holds characters that must be percent-encoded.");
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  // Most paths contain none of these, so the regular expressions run for few requests.
  if (path.includes("%") || path.includes("//") || path.includes("\\") || path.includes("/.")) checkUnusual(path);
  return path;
}

function checkUnusual(path: string): void {
  if (AMBIGUOUS.test(path) || DOT_SEGMENT.test(path)) refuse("The path is ambiguous.");
  try {
    decodeURIComponent(path);
  } catch {
    refuse("The path holds a percent-encoding that is no UTF-8.");
  }
}

/** Whether it is a path of the runtime protocol, which is never served to the public, in whatever spelling. */
export function isReservedPath(path: string): boolean {
  return RESERVED.test(path.includes("%") ? decodeURIComponent(path) : path);
}

export interface PathRoute {
  tenant: string;
  function: string;
  /** The path and query that the function sees, and the prefix that was removed. */
  rest: string;
  prefix: string;
}

/** Parses `/fn/<tenant>/<function>/rest?query`; undefined for any other path. */
export function readPathRoute(path: string, target: string): PathRoute | undefined {
  const match = PATH_ROUTE.exec(path);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const prefix = `/fn/${match[1]}/${match[2]}`;
  const rest = target.slice(prefix.length);
  return { tenant: match[1], function: match[2], rest: rest.startsWith("/") ? rest : `/${rest}`, prefix };
}
