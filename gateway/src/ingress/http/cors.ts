// Cross-origin calls of private functions: ingress answers the preflight, which never carries a token (Fetch standard, CORS protocol).
import type { Route } from "@fnctl/control-plane/contract/internal";

type Cors = NonNullable<Route["cors"]>;
const DEFAULT_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** The origin to name in the answer; undefined when it is not allowed. `*` is never combined with credentials. */
function allowedOrigin(cors: Cors, origin: string): string | undefined {
  if (cors.origins.includes(origin)) return origin;
  if (cors.origins.includes("*") && cors.credentials !== true) return "*";
  return undefined;
}

/** Seconds for which a browser need not ask again. */
const PREFLIGHT_AGE = "600";

/**
 * Flat header list of a preflight's answer. It allows everything that is asked, because it must not show which private functions exist
 * (SECURITY H6). The request that follows needs a token, which no foreign page has, and the function's own rule decides whether its answer
 * may be read.
 */
export function preflightHeaders(origin: string, method: string, names: string | undefined): string[] {
  return [
    "access-control-allow-origin",
    origin,
    "access-control-allow-methods",
    method,
    ...(names === undefined ? [] : ["access-control-allow-headers", names]),
    "access-control-allow-credentials",
    "true",
    "access-control-max-age",
    PREFLIGHT_AGE,
    "vary",
    "origin, access-control-request-method, access-control-request-headers",
  ];
}

/** Headers for a response whose function names no allowed origin itself. Without them the page that made the request cannot read it. */
export function responseCorsHeaders(cors: Cors, origin: string, method: string): string[] {
  const allowed = allowedOrigin(cors, origin);
  if (allowed === undefined || !(cors.methods ?? DEFAULT_METHODS).includes(method)) return [];
  const headers = ["access-control-allow-origin", allowed, "vary", "origin"];
  if (cors.credentials === true) headers.push("access-control-allow-credentials", "true");
  return headers;
}
