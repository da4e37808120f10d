// Whose share a connection is of: that of an IPv4 address, or of an IPv6 network of 64 bits, because that is what one client is given, with all
// the addresses in it (RFC 6177, RFC 7934).
import { isIP, isIPv6 } from "node:net";

const NETWORK_GROUPS = 4; // of 16 bits

/** `address` as Node names a socket's peer. What is no IPv6 address is its own share. */
export function clientNetwork(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [before = "", after] = address.replace(/%.*$/, "").split("::");
  const head = groupsOf(before);
  const tail = after === undefined ? [] : groupsOf(after);
  // "::" stands for as many groups of zero as are missing of eight; a dotted end is two groups, and beyond the network.
  const missing = after === undefined ? 0 : 8 - head.length - tail.length - (address.includes(".") ? 1 : 0);
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return `${groups
    .slice(0, NETWORK_GROUPS)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}
/** The IPv6 site of 48 bits that a share of `clientNetwork` lies in; undefined: it is no IPv6 network. */
export function clientSite(network: string): string | undefined {
  return network.endsWith("::/64") ? `${network.split(":").slice(0, 3).join(":")}::/48` : undefined;
}
const groupsOf = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));

/**
 * The client that trusted proxies name: each adds the address that it sees at the end of X-Forwarded-For, so it is the last one that is no
 * trusted proxy's. Undefined: they name none.
 */
export function forwardedClient(
  forwardedFor: string | undefined,
  isTrustedProxy: (address: string | undefined) => boolean,
): string | undefined {
  for (const entry of (forwardedFor ?? "").split(",").toReversed()) {
    const address = entry.trim();
    if (isIP(address) === 0) return undefined;
    if (!isTrustedProxy(address)) return clientNetwork(address);
  }
  return undefined;
}
