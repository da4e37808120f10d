// Parses `10.0.0.0/8`, `fd00::/8`, or a single address.
import { BlockList, isIP } from "node:net";
import { z } from "zod";

export interface Cidr {
  address: string;
  bits: number;
  family: "ipv4" | "ipv6";
}

export const cidrSchema = z.string().transform((text, context): Cidr => {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (family === 0 || bits < 0 || bits > most || rest.length > 0) {
    context.addIssue({ code: "custom", message: `${text} is no CIDR, such as 10.1.0.0/16` });
    return z.NEVER;
  }
  return { address, bits, family: family === 6 ? "ipv6" : "ipv4" };
});

export function blockListOf(ranges: readonly Cidr[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) list.addSubnet(range.address, range.bits, range.family);
  return list;
}
