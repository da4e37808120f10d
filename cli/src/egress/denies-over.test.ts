import { expect, test } from "vitest";
import { deniesOver } from "./denies-over.ts";

const allow = (rule: string, name: string | null = "hello") => ({ action: "allow" as const, rule, function: name });
const deny = (rule: string, name: string | null = null) => ({ action: "deny" as const, rule, function: name });

test.each([
  [allow("a.example"), deny("a.example"), true],
  [allow("a.example"), deny("*"), true],
  [allow("a.b.example"), deny("*.b.example"), true],
  [allow("*.b.example"), deny("*.b.example"), true],
  [allow("a.example"), deny("a.example:443"), true],
  [allow("a.example"), deny("a.example", "hello"), true],
  [allow("a.example", null), deny("a.example", "hello"), true], // for that function
  [allow("a.example"), deny("a.example:5432"), false],
  [allow("a.example"), deny("b.example"), false],
  [allow("b.example"), deny("*.b.example"), false],
  [allow("*.b.example"), deny("a.b.example"), false], // the others are allowed
  [allow("a.example"), deny("a.example", "other"), false],
  [allow("a.example"), allow("a.example"), false],
])("%o under %o: void %o", (wanted, other, isVoid) => {
  expect(deniesOver(wanted, [other])).toEqual(isVoid ? [other] : []);
});
