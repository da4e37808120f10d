// The target of a CONNECT: a plain host name and a port. Any text that two parsers could read differently is refused (SECURITY B5).
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { isHostName } from "@fnctl/control-plane/contract/egress-rules";

export interface Target {
  host: string;
  port: number;
}

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
  if (!isHostName(host)) return refuse("The CONNECT target is no plain host name.");
  return { host, port };
}
