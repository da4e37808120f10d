import { describe, expect, it } from "vitest";
import { createAddressPolicy } from "./address-policy.ts";
import { cidrSchema } from "@fnctl/control-plane/contract/cidr";

const DENIED = [
  "0.0.0.0",
  "0.1.2.3",
  "10.0.0.1",
  "100.64.0.1",
  "100.100.100.200",
  "127.0.0.1",
  "127.255.255.255",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.192",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.7",
  "203.0.113.9",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "168.63.129.16",
  "::",
  "::1",
  "::ffff:169.254.169.254",
  "::ffff:8.8.8.8",
  "::127.0.0.1",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b:1::1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:a9fe:a9fe::1",
  "fc00::1",
  "fd00:ec2::254",
  "fd20:ce::254",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "5f00::1",
  "",
  "example.com",
  "1.2.3",
  "2852039166",
  "0x7f.1",
];
const ALLOWED = [
  "8.8.8.8",
  "1.1.1.1",
  "100.63.255.255",
  "172.15.0.1",
  "172.32.0.1",
  "192.0.1.1",
  "223.255.255.255",
  "2606:4700::1111",
  "2a00:1450::1",
];

describe("addresses", () => {
  const policy = createAddressPolicy([], () => ["93.184.216.34", "2606:4700::9"]);
  it.each(DENIED)("denies %s", (address) => expect(policy(address)).toBe(false));
  it.each(ALLOWED)("allows %s", (address) => expect(policy(address)).toBe(true));
  it("denies the machine's own addresses, public as they may be", () => {
    expect([policy("93.184.216.34"), policy("2606:4700::9")]).toEqual([false, false]);
  });
  it("opens what the operator names, and nothing beside it", () => {
    const open = createAddressPolicy(
      ["10.1.0.0/16", "fd00:1::/32", "127.0.0.5"].map((text) => cidrSchema.parse(text)),
      () => [],
    );
    expect(
      ["10.1.2.3", "fd00:1::7", "127.0.0.5", "10.2.0.1", "fd00:2::1", "127.0.0.1", "::ffff:10.1.2.3", "169.254.169.254"].map(open),
    ).toEqual([true, true, true, false, false, false, false, false]);
  });
});

describe("settings", () => {
  it.each(["10.0.0.0/33", "10.0.0", "example.com", "::/129", "1.2.3.4/8/9", "1.2.3.4/", ""])("refuse %s", (text) =>
    expect(cidrSchema.safeParse(text).success).toBe(false),
  );
});

describe("what no operator can open", () => {
  const wide = createAddressPolicy(
    ["0.0.0.0/0", "::/0", "169.254.169.254", "fd00:ec2::254"].map((text) => cidrSchema.parse(text)),
    () => [],
  );
  it.each([
    "0.0.0.0",
    "169.254.169.254",
    "169.254.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
  ])("%s", (address) => expect(wide(address)).toBe(false));
  it("and what is beside it can be", () => {
    expect(["10.0.0.1", "100.100.100.201", "192.0.0.193", "fd00:ec2::255", "127.0.0.1"].map(wide)).toEqual([true, true, true, true, true]);
  });
});

describe("exceptions of the operator", () => {
  const own = () => ["10.1.0.5", "fd00::5"];
  const allowed = (...ranges: string[]) =>
    createAddressPolicy(
      ranges.map((range) => cidrSchema.parse(range)),
      own,
    );
  it("open a range, but not the machine in it, unless it is named alone", () => {
    const range = allowed("10.1.0.0/16", "fd00::/16");
    expect(["10.1.0.4", "10.1.0.5", "fd00::4", "fd00::5"].map(range)).toEqual([true, false, true, false]);
    const named = allowed("10.1.0.5", "fd00::5/128");
    expect(["10.1.0.4", "10.1.0.5", "fd00::4", "fd00::5"].map(named)).toEqual([false, true, false, true]);
  });
});
