// Fields that the client library would drop are renamed for it, and the object that the API server stored is compared with the wanted one.
import type { V1NetworkPolicy } from "@kubernetes/client-node";
import { describe, expect, test } from "vitest";
import { networkPolicies } from "../sandbox/kubernetes/objects/network.ts";
import { holds, toClient, toWire } from "./wire.ts";

const platform = { uid: "u", namespace: "system", prefix: "p" };
const policies = networkPolicies(platform, (name) => ({ name, namespace: "p-t", labels: {} }));

test("every rule keeps its peers on the way to the client library and back", () => {
  for (const policy of policies) expect(toWire(toClient(policy))).toEqual(policy);
  const rule = (toClient(policies[1]!) as V1NetworkPolicy).spec?.ingress?.[0];
  expect(rule?._from).toHaveLength(2);
});

describe("what is there holds what was asked for", () => {
  test.each([
    ["the same", { a: [{ b: 1 }] }, { a: [{ b: 1 }] }, true],
    ["more, as the API server adds defaults", { a: [{ b: 1, c: 2 }], d: 3 }, { a: [{ b: 1 }] }, true],
    ["nothing where an empty selector was meant", {}, { podSelector: {} }, true],
    ["a field less", { a: [{}] }, { a: [{ b: 1 }] }, false],
    ["another value", { a: 2 }, { a: 1 }, false],
    ["an element more: for peers that means more of them", { from: [1, 2] }, { from: [1] }, false],
    ["an element less", { from: [] }, { from: [1] }, false],
    ["no list at all", {}, { from: [1] }, false],
  ])("%s: %j for %j is %s", (_what, actual, wanted, expected) => {
    expect(holds(actual, wanted)).toBe(expected);
  });
});
