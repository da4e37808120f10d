// What people write, what it stands for, and what matches it.
import { describe, expect, it } from "vitest";
import { allowedBy, egressSchema, hostMatches, isAllowed, ruleFor } from "./egress-rules.ts";
import { LIMITS } from "./limits.ts";

const read = (allow: unknown[]) => allowedBy(egressSchema.parse({ allow }));

describe("rules", () => {
  it("stand for hosts with ports", () => {
    expect(allowedBy(undefined)).toEqual([]);
    expect(allowedBy(egressSchema.parse("public"))).toEqual([{ host: "*", ports: [80, 443] }]);
    expect(read(["API.stripe.com", "db.example.com:5432", "*.example.com", { host: "Db.example.com", ports: [80, 443] }])).toEqual([
      { host: "api.stripe.com", ports: [443] },
      { host: "db.example.com", ports: [5432] },
      { host: "*.example.com", ports: [443] },
      { host: "db.example.com", ports: [80, 443] },
    ]);
  });
  it.each([
    "https://api.example.com",
    "api.example.com/v1",
    "api.example.com:0",
    "api.example.com:65536",
    "api.example.com:",
    "user@api.example.com",
    "api.example.com.",
    "*",
    "*.com",
    "**.example.com",
    "a.*.example.com",
    "api*.example.com",
    "localhost",
    "a.localhost",
    "127.0.0.1",
    "2852039166",
    "0x7f.1",
    "[::1]:443",
    "10.0.0.0/8",
    "b\u00fccher.example",
    "a b.example",
    "",
    443,
    null,
    { host: "a.example" },
    { host: "a.example", ports: [] },
    { host: "a.example", ports: [0] },
    { host: "a.example:443", ports: [443] },
    { host: "a.example", ports: [443], inject: "x" },
  ])("refuses %j", (rule) => expect(egressSchema.safeParse({ allow: [rule] }).success).toBe(false));
  it("are as many as the limits allow", () => {
    const rules = (count: number) => Array.from({ length: count }, (_, i) => `h${i}.example`);
    const ports = (count: number) => [{ host: "a.example", ports: Array.from({ length: count }, (_, i) => i + 1) }];
    for (const [make, most] of [
      [rules, LIMITS.egressRules],
      [ports, LIMITS.egressPorts],
    ] as const) {
      expect(egressSchema.safeParse({ allow: make(most) }).success).toBe(true);
      expect(egressSchema.safeParse({ allow: make(most + 1) }).success).toBe(false);
    }
  });
  it("name the rule that would allow a target", () => {
    expect([ruleFor("a.example", 443), ruleFor("a.example", 5432)]).toEqual(["a.example", "a.example:5432"]);
  });
});

describe("patterns (B6)", () => {
  it.each([
    ["example.com", "example.com", true],
    ["example.com", "a.example.com", false],
    ["*.example.com", "a.example.com", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", "a.b.example.com", false],
    ["*.example.com", "evil-example.com", false],
    ["*.example.com", "a.example.com.evil.com", false],
    ["*.example.com", ".example.com", false],
    ["*", "example.com", true],
    ["*.com", "example.com", true],
    ["a.*", "a.b", false],
  ])("%s and %s: %s", (pattern, host, matches) => expect(hostMatches(pattern, host)).toBe(matches));
  it("binds the port to the rule", () => {
    const rules = [
      { host: "a.example", ports: [443] },
      { host: "b.example", ports: [80, 8080] },
    ];
    expect(
      [
        ["a.example", 443],
        ["a.example", 80],
        ["b.example", 8080],
        ["b.example", 443],
      ].map(([host, port]) => isAllowed(rules, String(host), Number(port))),
    ).toEqual([true, false, true, false]);
  });
});
