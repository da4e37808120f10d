// The target of a CONNECT: a plain host name and a port. Any text that two parsers could read differently is refused (SECURITY B5).
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";

export interface Target {
  host: string;
  port: number;
}

// Lower-case LDH labels (RFC 5890); no trailing dot, userinfo, brackets or percent signs.
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/;
// The WHATWG "ends in a number" rule: 127.1, 2852039166, 0x7f.1 and 0177.0.0.1 are addresses to many resolvers.
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

const refuse = (detail: string): never => {
  throw new PlatformError("FORBIDDEN", detail, { hint: "Connect by host name, as it stands in `egress.allow`." });
};

/** Reads `host:port` (authority-form, RFC 9112 section 3.2.3). */
export function readTarget(authority: string): Target {
  const match = /^([^:@/?#\s[\]]+):(\d{1,5})$/.exec(authority);
  if (match?.[1] === undefined) return refuse("The CONNECT target is not of the form host:port.");
  const host = match[1].toLowerCase();
  const port = Number(match[2]);
  if (port < 1 || port > 65_535 || String(port) !== match[2]) return refuse("The CONNECT target has no valid port.");
  if (!HOST_NAME.test(host)) return refuse("The CONNECT target is no plain host name.");
  if (ENDS_IN_NUMBER.test(host)) return refuse("The CONNECT target is an address; only host names are allowed.");
  return { host, port };
}

/** `*.example.com` stands for exactly one label (SECURITY B6). */
export function hostMatches(pattern: string, host: string): boolean {
  const wanted = pattern.toLowerCase();
  if (!wanted.startsWith("*.")) return wanted === host;
  const dot = host.indexOf(".");
  return dot > 0 && host.slice(dot) === wanted.slice(1);
}

export function isAllowed(source: Pick<EgressSource, "allow">, target: Target): boolean {
  return source.allow.some((rule) => rule.ports.includes(target.port) && hostMatches(rule.host, target.host));
}
