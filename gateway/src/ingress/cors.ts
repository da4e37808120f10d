// Cross-origin calls of private functions: ingress answers the preflight, which never carries a token (Fetch standard, CORS protocol).
import type { Route } from "@fnctl/control-plane/contract/internal";

type Cors = NonNullable<Route["cors"]>;
const DEFAULT_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const DEFAULT_HEADERS = ["authorization", "content-type"];

/** The origin to name in the answer; undefined: not allowed. `*` never goes with credentials. */
export function allowedOrigin(cors: Cors, origin: string): string | undefined {
  if (cors.origins.includes(origin)) return origin;
  if (cors.origins.includes("*") && cors.credentials !== true) return "*";
  return undefined;
}

/** Flat header list of a preflight's answer; undefined when the origin is not allowed. */
export function preflightHeaders(cors: Cors, origin: string): string[] | undefined {
  const allowed = allowedOrigin(cors, origin);
  if (allowed === undefined) return undefined;
  const headers = [
    "access-control-allow-origin",
    allowed,
    "access-control-allow-methods",
    (cors.methods ?? DEFAULT_METHODS).join(", "),
    "access-control-allow-headers",
    (cors.headers ?? DEFAULT_HEADERS).join(", "),
    "vary",
    "origin, access-control-request-method, access-control-request-headers",
  ];
  if (cors.credentials === true) headers.push("access-control-allow-credentials", "true");
  if (cors.maxAgeSeconds !== undefined) headers.push("access-control-max-age", String(cors.maxAgeSeconds));
  return headers;
}

/** Added to a response whose function names no allowed origin itself. */
export function responseCorsHeaders(cors: Cors, origin: string): string[] {
  const allowed = allowedOrigin(cors, origin);
  if (allowed === undefined) return [];
  const headers = ["access-control-allow-origin", allowed, "vary", "origin"];
  if (cors.credentials === true) headers.push("access-control-allow-credentials", "true");
  return headers;
}
