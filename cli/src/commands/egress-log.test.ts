// Rules that are suggested from refusals: those that would help, once each, and nothing that a rule cannot open.
import { expect, test } from "vitest";
import { suggestRules } from "./egress-log.ts";

const refused = (target: string, more: Partial<Parameters<typeof suggestRules>[0][number]> = {}) => ({
  id: "01900000-0000-7000-8000-000000000001",
  at: "2026-11-27T10:00:00.000Z",
  function: "hello",
  version: 1,
  instance: "i1",
  target,
  address: "",
  bytesUp: 0,
  bytesDown: 0,
  durationMs: 1,
  outcome: `FORBIDDEN: ${target} is not allowed.`,
  notLogged: 0,
  ...more,
});

test("each target is one rule of its function, with how often it was refused", () => {
  const later = { at: "2026-11-27T11:00:00.000Z", notLogged: 4 };
  expect(
    suggestRules([
      refused("api.example.com:443"),
      refused("api.example.com:443", later),
      refused("db.example.com:5432", { function: "other" }),
    ]),
  ).toEqual([
    { function: "hello", rule: "api.example.com", times: 6, last: later.at },
    { function: "other", rule: "db.example.com:5432", times: 1, last: "2026-11-27T10:00:00.000Z" },
  ]);
});

test("a name that was only looked up is suggested unless its port is known", () => {
  expect(suggestRules([refused("a.example"), refused("b.example"), refused("b.example:5432")]).map(({ rule }) => rule)).toEqual([
    "a.example",
    "b.example:5432",
  ]);
});

test("nothing that a rule cannot open, or that the tenant refuses itself", () => {
  const others = [
    refused("localhost:80"),
    refused("2852039166:80"),
    refused("billing.fn.internal:80"),
    refused("inside.example:443", { outcome: "FORBIDDEN: inside.example leads to an address that functions may not reach." }),
    refused("evil.example:443", { outcome: "FORBIDDEN: evil.example:443 is denied by a rule of the tenant's own." }),
    refused("a.example:443", { outcome: "closed" }),
    refused("evil.example:443"), // from before it was denied
  ];
  expect(suggestRules(others)).toEqual([]);
});
