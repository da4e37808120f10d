// Header fields that a proxy must not pass on, and those that only the platform may set.

/** Hop-by-hop fields (RFC 9110 section 7.6.1, RFC 9112) and those that belong to this connection's framing. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Fields that ingress reads itself; it sends its own version of them on, or none. */
const OWN: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "expect",
  "authorization",
  "x-request-id",
  "forwarded",
  "x-real-ip",
  "x-original-url",
  "x-rewrite-url",
  "x-http-method-override",
]);

export const isPlatformName = (name: string): boolean => name.startsWith("x-fnctl") || name.startsWith("x-forwarded");

/**
 * Whether a client's field must not reach the function because its name is the platform's. WSGI and CGI read `_` and `-` alike, so
 * `X_Fnctl_Tenant` counts as `x-fnctl-tenant` (SECURITY D3).
 */
export function isSpoof(name: string): boolean {
  if (isPlatformName(name)) return true;
  if (!name.includes("_")) return false;
  const normal = name.replaceAll("_", "-");
  return isPlatformName(normal) || OWN.has(normal) || HOP_BY_HOP.has(normal) || normal === "cookie";
}

const TOKEN_SEPARATOR = /[ \t]*,[ \t]*/;

/** Names in `Connection` other than the usual `keep-alive` and `close`; undefined when there are none. */
export function nominatedNames(connection: string): Set<string> | undefined {
  const lower = connection.toLowerCase();
  if (lower === "keep-alive" || lower === "close") return undefined;
  const names = new Set(lower.trim().split(TOKEN_SEPARATOR));
  names.delete("keep-alive");
  names.delete("close");
  names.delete("");
  return names.size === 0 ? undefined : names;
}

/** Removes the named fields from a flat name/value list whose names are in lower case. */
export function withoutNames(headers: string[], names: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (!names.has(headers[i]!)) kept.push(headers[i]!, headers[i + 1]!);
  return kept;
}
