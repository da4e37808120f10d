// Addresses and ranges in rules: one text of each, and what a range holds.
import { describe, expect, it } from "vitest";
import { hostOfAddress, isAddressHost, isAddressRule, rangeHolds } from "./address-rules.ts";
import {
  allowedBy,
  egressSchema,
  hostMatches,
  isAddressDenied,
  isNamed,
  judgeTarget,
  ownText,
  ownTextSchema,
  ruleFor,
  splitTarget,
} from "./egress-rules.ts";

describe("the one text of an address", () => {
  it.each(["0.0.0.0", "10.1.2.3", "255.255.255.255", "[::]", "[::1]", "[2001:db8::1]", "[2001:db8:0:1::1]", "[64:ff9b::a9fe:a9fe]"])(
    "%s is one",
    (text) => expect([isAddressHost(text), isAddressRule(text)]).toEqual([true, true]),
  );
  it.each(["10.1.0.0/16", "0.0.0.0/0", "10.1.2.3/32", "[2001:db8::/32]", "[::/0]", "[2001:db8::1/128]"])("%s is a range", (text) =>
    expect([isAddressHost(text), isAddressRule(text)]).toEqual([false, true]),
  );
  it.each([
    "0x7f.1",
    "0x7f.0.0.1",
    "2852039166",
    "127.1",
    "010.1.2.3",
    "10.1.2.03",
    "10.1.2.256",
    "10.1.2",
    "10.1.2.3.",
    "10.1.2.3/",
    "10.1.2.3/16",
    "10.1.0.0/33",
    "10.1.0.0/016",
    "10.1.0.0/-1",
    "[10.1.2.3]",
    "2001:db8::1",
    "[2001:DB8::1]",
    "[2001:db8:0:0::1]",
    "[2001:0db8::1]",
    "[2001:db8::0:1]",
    "[2001:db8:0:1:1:1:1:1:1]",
    "[2001:db8::1",
    "2001:db8::1]",
    "[2001:db8::1/64]",
    "[2001:db8::/129]",
    "[2001:db8::]/32",
    "[::ffff:10.1.2.3]",
    "[::ffff:a01:203]",
    "[::ffff:0:0/96]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "[]",
    "[:]",
    "",
    "１０.1.2.3",
  ])("%s is none", (text) => expect(isAddressRule(text)).toBe(false));
  it("is made of what a resolver says", () => {
    expect(["10.1.2.3", "2001:DB8:0:0::1", "::ffff:10.1.2.3"].map(hostOfAddress)).toEqual([
      "10.1.2.3",
      "[2001:db8::1]",
      "[::ffff:a01:203]",
    ]);
  });
});

describe("a range", () => {
  it.each([
    ["10.1.0.0/16", "10.1.0.0", true],
    ["10.1.0.0/16", "10.1.255.255", true],
    ["10.1.0.0/16", "10.0.255.255", false],
    ["10.1.0.0/16", "10.2.0.0", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "[2001:db8::1]", false],
    ["[::/0]", "10.1.2.3", false],
    ["[2001:db8::/32]", "[2001:db8:ffff::1]", true],
    ["[2001:db8::/32]", "[2001:db9::]", false],
    ["[2001:db8::1]", "[2001:db8::1]", true],
    ["10.1.0.0/16", "10.1.0.0/24", false],
    ["10.1.0.0/16", "a.example", false],
    ["a.example", "10.1.2.3", false],
  ])("%s and %s: %s", (rule, host, holds) => {
    expect(rangeHolds(rule, host)).toBe(holds);
    expect(hostMatches(rule, host)).toBe(holds);
  });
  it("is not what `*` is, which means addresses too", () => {
    expect([rangeHolds("*", "10.1.2.3"), hostMatches("*", "10.1.2.3")]).toEqual([false, true]);
  });
});

describe("rules for addresses", () => {
  const own = (...rules: [string, string][]) =>
    rules.map(([action, rule]) => ({ ...ownTextSchema.parse({ action, rule }), functionId: null }));
  const effective = (allow: unknown[], ...rules: [string, string][]) => ({
    allow: allowedBy(egressSchema.parse({ allow })),
    own: own(...rules),
    functionId: null,
  });
  it("stand for themselves with ports", () => {
    const allow = ["10.1.2.3:5432", "10.1.0.0/16:5432", "[2001:db8::1]:443", "203.0.113.0/24", "[2001:db8::/32]:80"];
    expect(allowedBy(egressSchema.parse({ allow: [...allow, { host: "[2001:db8::2]", ports: [1, 2] }] }))).toEqual([
      { host: "10.1.2.3", ports: [5432] },
      { host: "10.1.0.0/16", ports: [5432] },
      { host: "[2001:db8::1]", ports: [443] },
      { host: "203.0.113.0/24", ports: [443] },
      { host: "[2001:db8::/32]", ports: [80] },
      { host: "[2001:db8::2]", ports: [1, 2] },
    ]);
  });
  it("allow, and a refusal of a range wins over them", () => {
    const allow = ["10.1.0.0/16:5432"];
    const judged = (...rules: [string, string][]) => judgeTarget(effective(allow, ...rules), "10.1.2.3", 5432);
    expect(judged()).toBe("allowed");
    for (const refusal of ["10.0.0.0/8", "10.1.2.0/24:5432", "10.1.2.3", "*"]) expect(judged(["deny", refusal])).toBe("denied");
    for (const refusal of ["10.2.0.0/16", "10.1.2.3:80", "[::/0]"]) expect(judged(["deny", refusal])).toBe("allowed");
    expect(judgeTarget(effective([], ["allow", "10.1.2.3:5432"]), "10.1.2.3", 5432)).toBe("allowed");
    expect(judgeTarget(effective([], ["allow", "10.1.2.3"]), "10.1.2.3", 5432)).toBe("no rule");
    expect(judgeTarget({ ...effective([]), allow: allowedBy("public") }, "203.0.113.9", 443)).toBe("allowed");
  });
  it("name what they mean, and `public` names nothing", () => {
    const rules = { ...effective(["10.1.2.3"], ["allow", "own.example"]), functionId: null };
    const both = { ...rules, allow: [...rules.allow, ...allowedBy("public")] };
    const hosts = ["10.1.2.3", "own.example", "10.1.2.4", "other.example"];
    expect(hosts.map((host) => isNamed(both, host, 443))).toEqual([true, true, false, false]);
    expect(hosts.map((host) => judgeTarget(both, host, 443))).toEqual(["allowed", "allowed", "allowed", "allowed"]);
  });
  it("refuse what names lead to, in whatever text", () => {
    const rules = effective(
      [],
      ["deny", "10.0.0.0/8:5432"],
      ["deny", "[2001:db8::/32]"],
      ["allow", "192.168.0.0/16"],
      ["deny", "a.example"],
    );
    expect(isAddressDenied(rules, "10.1.2.3", 5432)).toBe(true);
    expect(isAddressDenied(rules, "10.1.2.3", 80)).toBe(false);
    expect(isAddressDenied(rules, "2001:DB8:0::1", 1)).toBe(true);
    expect(isAddressDenied(rules, "192.168.1.1", 443)).toBe(false);
    expect(isAddressDenied(effective([], ["deny", "*"]), "10.1.2.3", 1)).toBe(false); // which is judged by the name
  });
  it.each([
    ["allow", "10.1.0.0/16"],
    ["allow", "[2001:db8::1]:80"],
    ["deny", "[2001:db8::/32]"],
    ["deny", "[2001:db8::/32]:443"],
    ["deny", "10.0.0.0/8"],
  ] as const)("are told as they are written: %s %s", (action, rule) => {
    expect(ownText(ownTextSchema.parse({ action, rule }))).toBe(rule);
  });
  it("are named for a target", () => {
    expect([ruleFor("10.1.2.3", 5432), ruleFor("[2001:db8::1]", 443)]).toEqual(["10.1.2.3:5432", "[2001:db8::1]"]);
    expect(splitTarget("[2001:db8::1]:443")).toEqual({ host: "[2001:db8::1]", port: "443" });
  });
});
