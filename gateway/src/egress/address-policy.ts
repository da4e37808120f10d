// Decides which addresses may be dialled: only public unicast, whatever name resolved to them (SECURITY B5).
import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { blockListOf, cidrSchema, type Cidr } from "@fnctl/control-plane/contract/cidr";
import { EGRESS_LIMITS } from "./limits.ts";

// IANA IPv4 Special-Purpose Address Registry (RFC 6890 and later), multicast, and addresses of cloud services that look public.
const DENIED_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "168.63.129.16/32",
];
// Only global unicast, 2000::/3 (RFC 4291), is allowed. Denied inside it: Teredo, ORCHID and other protocol assignments, documentation,
// 6to4 (which embeds an IPv4 address), and the AS112 and SRv6 ranges. Denied outside it is everything: loopback, unique local, link-local,
// IPv4-mapped, NAT64, multicast.
const GLOBAL_V6 = ["2000::/3"];
const DENIED_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "3ffe::/16"];

// What no operator can open, however wide a range is: this host, link-local and multicast addresses, and what clouds answer with the node's secrets
// (their metadata services, of which some have addresses that look like a network's own).
const NEVER_V4 = ["0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "224.0.0.0/4", "240.0.0.0/4"];
const NEVER_V6 = ["::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128", "fd20:ce::254/128"];

const parse = (ranges: readonly string[]): Cidr[] => ranges.map((range) => cidrSchema.parse(range));

export type AddressPolicy = (address: string) => boolean;

/** `allowed` are the operator's exceptions. The policy returns true for an address that may be dialled. */
export function createAddressPolicy(allowed: readonly Cidr[], ownAddresses: () => string[] = createOwnAddresses()): AddressPolicy {
  const exceptions = blockListOf(allowed);
  // A range that the machine itself is in is not meant to open the machine; an address that is named alone is.
  const named = blockListOf(allowed.filter(({ bits, family }) => bits === (family === "ipv4" ? 32 : 128)));
  const never = blockListOf(parse([...NEVER_V4, ...NEVER_V6]));
  const isExcepted = (address: string, family: "ipv4" | "ipv6"): boolean =>
    !never.check(address, family) &&
    exceptions.check(address, family) &&
    (named.check(address, family) || !ownAddresses().includes(address));
  const denied4 = blockListOf(parse(DENIED_V4));
  const denied6 = blockListOf(parse(DENIED_V6));
  const global6 = blockListOf(parse(GLOBAL_V6));
  return (address) => {
    if (isIPv4(address)) {
      if (isExcepted(address, "ipv4")) return true;
      return !denied4.check(address, "ipv4") && !ownAddresses().includes(address);
    }
    // An address with a zone (`fe80::1%eth0`) is link-local.
    if (!isIPv6(address) || address.includes("%")) return false;
    // An IPv4-mapped IPv6 address must neither profit from an exception for the IPv4 range nor bypass the IPv4 deny list.
    if (/^::ffff:/i.test(address)) return false;
    if (isExcepted(address, "ipv6")) return true;
    return global6.check(address, "ipv6") && !denied6.check(address, "ipv6") && !ownAddresses().includes(address);
  };
}

/** The machine's own addresses, including public ones: functions must not reach the machine's services. */
function createOwnAddresses(): () => string[] {
  let known: string[] = [];
  let readAt = -Infinity;
  return () => {
    if (performance.now() - readAt > EGRESS_LIMITS.ownAddressesMs) {
      known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
      readAt = performance.now();
    }
    return known;
  };
}
