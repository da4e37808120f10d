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
const groupsOf = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));

/** The client that a trusted proxy names: it adds the address that it sees at the end of X-Forwarded-For. Undefined: it names none. */
export function forwardedClient(forwardedFor: string | undefined): string | undefined {
  const last = forwardedFor?.slice(forwardedFor.lastIndexOf(",") + 1).trim() ?? "";
  return isIP(last) === 0 ? undefined : clientNetwork(last);
}
