// Sets the platform's own fields on a request to a function, after the client's fields of these names were dropped (SECURITY D3).
import { BlockList, isIP, isIPv6 } from "node:net";
import type { Socket } from "node:net";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { HttpCaller } from "./http-caller.ts";

/** Makes a check of a connection's peer address from entries such as `["10.0.0.0/8", "::1", "unix"]`. */
export function createProxyTrust(entries: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const entry of entries) if (entry !== "unix") addEntry(list, entry);
  const unix = entries.includes("unix");
  if (entries.length === 0) return () => false;
  return (address) => (address === undefined ? unix : list.check(address, isIPv6(address) ? "ipv6" : "ipv4"));
}

function addEntry(list: BlockList, entry: string): void {
  const [address = "", prefix] = entry.split("/");
  const family = isIP(address);
  const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
  if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32))
    throw new PlatformError("INVALID_CONFIG", `FNCTL_TRUSTED_PROXIES: ${entry} is no address, CIDR or "unix".`);
  list.addSubnet(address, bits, family === 6 ? "ipv6" : "ipv4");
}

const FORWARDED_FOR = /^[0-9a-fA-F:.,\s[\]]{1,500}$/;
const kPeer = Symbol("peer");
interface Peer {
  address: string | undefined;
  trusted: boolean;
  /** The client's address as in `Forwarded: for=` (RFC 7239 section 6), with IPv6 in brackets and quotes. */
  node: string;
  /** `Forwarded` value for `host`, the host that this connection named last; it is cached because most connections name only one host. */
  host: string;
  forwarded: string;
}
export type TrackedSocket = Socket & { [kPeer]?: Peer };

function peerOf(socket: TrackedSocket, isTrusted: (address: string | undefined) => boolean): Peer {
  const known = socket[kPeer];
  if (known !== undefined) return known;
  const address = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, "");
  const node = address === undefined ? "unknown" : address.includes(":") ? `"[${address}]"` : address;
  return (socket[kPeer] = { address, trusted: isTrusted(address), node, host: "", forwarded: "" });
}

/** Adds fields with client address, scheme and host; `prefix` is the part of the path that a path route removed. */
export function addForwarded(
  headers: string[],
  { head: read, request, call }: HttpCaller,
  isTrusted: (address: string | undefined) => boolean,
  prefix: string,
): void {
  const head = read!;
  const peer = peerOf(request.socket, isTrusted);
  const own = peer.address ?? "unknown";
  const chain =
    peer.trusted && head.forwardedFor !== undefined && FORWARDED_FOR.test(head.forwardedFor) ? `${head.forwardedFor}, ${own}` : own;
  const proto = peer.trusted && head.forwardedProto === "https" ? "https" : "http";
  if (peer.host !== head.host) {
    peer.host = head.host;
    peer.forwarded = `for=${peer.node};host="${head.host}";proto=`;
  }
  headers.push(
    "x-request-id",
    call.requestId,
    "x-forwarded-for",
    chain,
    "x-forwarded-proto",
    proto,
    "x-forwarded-host",
    head.host,
    "forwarded",
    peer.forwarded + proto,
  );
  if (prefix !== "") headers.push("x-forwarded-prefix", prefix);
}
