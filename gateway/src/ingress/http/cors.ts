// Cross-origin calls of private functions: ingress answers the preflight, which never carries a token (Fetch standard, CORS protocol).
import type { Route } from "@fnctl/control-plane/contract/internal";

type Cors = NonNullable<Route["cors"]>;
const DEFAULT_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** The origin to name in the answer; undefined: not allowed. `*` never goes with credentials. */
function allowedOrigin(cors: Cors, origin: string): string | undefined {
  if (cors.origins.includes(origin)) return origin;
  if (cors.origins.includes("*") && cors.credentials !== true) return "*";
  return undefined;
}

/** Seconds for which a browser need not ask again. */
const PREFLIGHT_AGE = "600";

/**
 * Flat header list of a preflight's answer. It allows whatever is asked, because it must not show which private functions there are
 * (SECURITY H6); what follows needs a token, which no foreign page has, and whether its answer may be read is the function's own rule.
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

/** Added to a response whose function names no allowed origin itself. Without them the page that asked may not read it. */
export function responseCorsHeaders(cors: Cors, origin: string, method: string): string[] {
  const allowed = allowedOrigin(cors, origin);
  if (allowed === undefined || !(cors.methods ?? DEFAULT_METHODS).includes(method)) return [];
  const headers = ["access-control-allow-origin", allowed, "vary", "origin"];
  if (cors.credentials === true) headers.push("access-control-allow-credentials", "true");
  return headers;
}
