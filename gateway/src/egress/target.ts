// Where somebody wants to go: a plain host name, or an address in its one text, and a port. Any text that two parsers could read differently is refused (SECURITY B5).
import { isAddressHost } from "@fnctl/control-plane/contract/address-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { isHostName } from "@fnctl/control-plane/contract/egress-rules";

export interface Target {
  /** A name in lower case, `10.1.2.3` or `[2001:db8::1]`. */
  host: string;
  port: number;
}

const refuse = (detail: string): never => {
  throw new PlatformError("FORBIDDEN", detail, {
    hint: "Connect by host name or address, as it stands in `egress.allow`; an IPv6 address as RFC 5952 writes it, in brackets.",
  });
};

/** Reads `host:port` (authority-form, RFC 9112 section 3.2.3). */
export function readTarget(authority: string): Target {
  const match = /^([^:@/?#\s[\]]+|\[[0-9a-f:]+\]):(\d{1,5})$/i.exec(authority);
  if (match?.[1] === undefined) return refuse("The target is not of the form host:port.");
  const host = match[1].toLowerCase();
  const port = Number(match[2]);
  if (port < 1 || port > 65_535 || String(port) !== match[2]) return refuse("The target has no valid port.");
  const isAddress = isAddressHost(match[1]); // as it was written: RFC 5952 has no capital letters
  if (!isAddress && !isHostName(host)) return refuse("The target is no plain host name.");
  return { host, port };
}
