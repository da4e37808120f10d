// Finds which part of the platform a Host header names (SECURITY D4): in lower case, without port and trailing dot, by exact match and
// without fallback.
import { GATEWAY_LIMITS } from "../limits.ts";

export type HostKind =
  | { kind: "api"; /** Path routes keep cookies on loopback names only (SECURITY I4). */ loopback: boolean }
  | { kind: "function"; label: string }
  | { kind: "unknown" }
  | { kind: "invalid" };

// RFC 9110 section 7.2, limited to names that are valid in DNS; everything else (Unicode, userinfo, spaces) is refused.
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}))(?::\d{1,5})?$/;
const UNKNOWN: HostKind = { kind: "unknown" };
const INVALID: HostKind = { kind: "invalid" };

const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host);

export function createHostResolver(options: { functionDomain: string; apiHosts: readonly string[] }): (header: string) => HostKind {
  const suffix = `.${options.functionDomain}`;
  const apiHosts = new Set(options.apiHosts);
  const cache = new Map<string, HostKind>();

  function resolve(header: string): HostKind {
    const name = HOST.exec(header.toLowerCase())?.[1];
    if (name === undefined || name.includes("..")) return INVALID;
    const host = name.endsWith(".") ? name.slice(0, -1) : name;
    if (apiHosts.has(host)) return { kind: "api", loopback: isLoopback(host) };
    if (host.endsWith(suffix)) return { kind: "function", label: host.slice(0, -suffix.length) };
    return UNKNOWN;
  }

  return (header) => {
    const known = cache.get(header);
    if (known !== undefined) return known;
    const kind = resolve(header);
    // Clients choose the cache's keys, so its size is limited; refilling it is cheap.
    if (cache.size >= GATEWAY_LIMITS.hostCacheEntries) cache.clear();
    if (header.length <= 260) cache.set(header, kind);
    return kind;
  };
}
