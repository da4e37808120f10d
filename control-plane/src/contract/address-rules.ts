// Addresses in rules and targets. Only one text of each is taken, so that no two readers see another address in it (SECURITY B5): IPv4 as four
// decimal numbers without leading zeros; IPv6 in the form of RFC 5952, in brackets. A range is `10.1.0.0/16` or `[2001:db8::/32]`.

interface Range {
  first: bigint;
  /** Bits that its addresses share, and bits of an address. */
  prefix: number;
  width: 32 | 128;
}

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const V4 = `(?:${OCTET}\\.){3}${OCTET}`;
/** For a quick look, and for JSON Schema; what is a good one is decided by `readRange`. */
export const ADDRESS_PATTERN = `(?:${V4}(?:/[0-9]{1,2})?|\\[[0-9a-f:]{2,39}(?:/[0-9]{1,3})?\\])`;
const PREFIX = "(?:/(0|[1-9][0-9]{0,2}))?";
const RULE = new RegExp(`^(?:(${V4})${PREFIX}|\\[([0-9a-f:]{2,39})${PREFIX}\\])$`);
const V4_TEXT = new RegExp(`^${V4}$`);
/** IPv4 addresses within IPv6 (RFC 4291 section 2.5.5.2) are written as what they are. */
const MAPPED = 0xffffn;

/** What was read: a connection is judged by some hundred rules, and reading one text takes microseconds. */
const read = new Map<string, Range>();
const MOST_READ = 20_000;

/** Undefined: it is no address, or not in its one text, or its range does not begin at its first address. */
function readRange(host: string): Range | undefined {
  const known = read.get(host);
  if (known !== undefined) return known;
  const range = parseRange(host);
  if (range === undefined) return undefined;
  if (read.size >= MOST_READ) read.clear();
  read.set(host, range);
  return range;
}
function parseRange(host: string): Range | undefined {
  const [, short, shortPrefix, long, longPrefix] = RULE.exec(host) ?? [];
  const width = short === undefined ? 128 : 32;
  const prefix = Number(shortPrefix ?? longPrefix ?? width);
  const first = short === undefined ? canonicalV6(long ?? "") : v4(short);
  if (first === undefined || prefix > width || (first & ((1n << BigInt(width - prefix)) - 1n)) !== 0n) return undefined;
  return { first, prefix, width };
}

const v4 = (text: string): bigint => text.split(".").reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
/** Undefined unless it is in the form of RFC 5952, in which the URL Standard writes it, too; never IPv4-mapped. */
function canonicalV6(text: string): bigint | undefined {
  const value = URL.parse(`http://[${text}]/`)?.hostname === `[${text}]` ? v6(text) : undefined;
  return value !== undefined && value >> 32n === MAPPED ? undefined : value;
}
/** `text` is a good one, without dots. */
function v6(text: string): bigint {
  const [left = [], right = []] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** Whether a rule's host is an address or a range of them. */
export const isAddressRule = (host: string): boolean => readRange(host) !== undefined;
/** Whether a target's host is an address. */
export const isAddressHost = (host: string): boolean => !host.includes("/") && isAddressRule(host);
/** The address as one dials it. */
export const bareAddress = (host: string): string => (host.startsWith("[") ? host.slice(1, -1) : host);

/** Whether a rule's range holds a target's host; false where one of both is a name. */
export function rangeHolds(rule: string, host: string): boolean {
  const range = readRange(rule);
  const address = range === undefined ? undefined : readRange(host);
  if (range === undefined || address?.width !== range.width || address.prefix !== address.width) return false;
  const rest = BigInt(range.width - range.prefix);
  return address.first >> rest === range.first >> rest;
}

/** The host of a rule for an address as a resolver tells it. */
export const hostOfAddress = (address: string): string =>
  V4_TEXT.test(address) ? address : (URL.parse(`http://[${address}]/`)?.hostname ?? address);
