// What people write, what it stands for, and what matches it.
import { describe, expect, it, vi } from "vitest";
import {
  allowedBy,
  egressSchema,
  hostMatches,
  isAddressDenied,
  judgeTarget,
  ownText,
  ownTextSchema,
  portsOf,
  ruleFor,
  type OwnRule,
} from "./egress-rules.ts";
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
    "127.0.0.01",
    "2852039166",
    "0x7f.1",
    "[::1]:",
    "[::ffff:10.1.2.3]:443",
    "[fe80::1%eth0]",
    "2001:db8::1",
    "10.1.0.0/8",
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
      ].map(([host, port]) => judgeTarget({ allow: rules, own: [], functionId: null }, String(host), Number(port))),
    ).toEqual(["allowed", "no rule", "allowed", "no rule"]);
  });
});

describe("a tenant's own rules", () => {
  const [FN, OTHER] = ["01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"];
  const allow = [
    { host: "a.example", ports: [443, 5432] },
    { host: "*.w.example", ports: [80] },
  ];
  const own = (...rules: [string, string, string?][]): OwnRule[] =>
    rules.map(([action, rule, functionId = null]) => ({ ...ownTextSchema.parse({ action, rule }), functionId }));
  it.each<[string, OwnRule[], string, number[]]>([
    ["nothing", [], "a.example", [443, 5432]],
    ["nothing, of a wildcard", [], "x.w.example", [80]],
    ["a port more", own(["allow", "a.example:80"]), "a.example", [443, 5432, 80]],
    ["a name more", own(["allow", "*.b.example"]), "x.b.example", [443]],
    ["a refusal of one port", own(["deny", "a.example:5432"]), "a.example", [443]],
    ["a refusal of all ports", own(["deny", "A.example"]), "a.example", []],
    ["a refusal of a wildcard", own(["deny", "*.w.example"]), "x.w.example", []],
    ["a refusal of everything", own(["deny", "*"]), "a.example", []],
    ["a refusal beside a permission", own(["allow", "x.w.example"], ["deny", "x.w.example:80"]), "x.w.example", [443]],
    ["a permission of another function's", own(["allow", "b.example", OTHER]), "b.example", []],
    ["a refusal of this function's", own(["deny", "a.example", FN]), "a.example", []],
    ["a refusal of another function's", own(["deny", "a.example", OTHER]), "a.example", [443, 5432]],
  ])("%s", (_what, rules, host, ports) => {
    const effective = { allow, own: rules, functionId: FN };
    expect(portsOf(effective, host)).toEqual(ports);
    for (const port of [80, 443, 5432]) expect(judgeTarget(effective, host, port) === "allowed").toBe(ports.includes(port));
  });
  it("are looked at a few times each, however many ports they name", () => {
    let looks = 0;
    const counted = <T extends object>(rule: T) =>
      Object.defineProperty({ ...rule }, "ports", { get: () => ((looks += 1), PORTS) }) as T & { ports: number[] };
    const PORTS = Array.from({ length: 20 }, (_, i) => i + 1);
    const rules = {
      allow: Array.from({ length: 100 }, () => counted({ host: "a.example" })),
      own: Array.from({ length: 200 }, () => counted({ action: "deny" as const, host: "a.example", functionId: null })),
      functionId: FN,
    };
    expect(portsOf(rules, "a.example")).toEqual([]);
    expect(looks).toBeLessThanOrEqual(3 * 300); // it was 2,000 times each
  });
  it("of addresses are read once, and not for each address that is judged", () => {
    const ranges = Array.from({ length: 200 }, (_, i) => `[2001:db8:${(i + 1).toString(16)}::/48]`);
    const rules = { allow: [], own: ranges.map((range) => own(["deny", range])[0]!), functionId: null };
    const parse = vi.spyOn(URL, "parse");
    for (let i = 0; i < 100; i += 1) expect(isAddressDenied(rules, `2606:4700::${i.toString(16)}`, 443)).toBe(false);
    expect(parse.mock.calls.length).toBeLessThan(500); // it was 60,000 times, 350 ms
    parse.mockRestore();
  });
  it("refuse a name of one label, too, when they refuse everything", () => {
    expect(judgeTarget({ allow: [{ host: "single", ports: [443] }], own: own(["deny", "*"]), functionId: null }, "single", 443)).toBe(
      "denied",
    );
  });
  it.each([
    ["allow", "a.example"],
    ["allow", "a.example:5432"],
    ["deny", "a.example"],
    ["deny", "a.example:443"],
    ["deny", "*"],
    ["deny", "*.a.example"],
  ] as const)("are told as they are written: %s %s", (action, rule) => {
    expect(ownText(ownTextSchema.parse({ action, rule }))).toBe(rule);
  });
  it.each([
    ["allow", "*"],
    ["allow", "*:443"],
    ["deny", "*:443"],
    ["deny", "10.0.0.1/8"],
    ["deny", "010.0.0.1"],
    ["deny", "https://a.example"],
    ["allow", ""],
  ])("do not take %s %s", (action, rule) => expect(ownTextSchema.safeParse({ action, rule }).success).toBe(false));
});
