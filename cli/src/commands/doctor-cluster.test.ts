// What an operator sees of a cluster's conditions.
import { expect, test } from "vitest";
import type { Condition } from "@fnctl/control-plane/contract/conditions";
import { describeCondition } from "./doctor-cluster.ts";

const AT = "2026-11-23T00:00:00.000Z";

test("a class: what it was found to be beside what it promises, each of its own", () => {
  const condition: Condition = {
    type: "SandboxClassVerified",
    isolation: "kata",
    status: "False",
    at: AT,
    message: "The class kata is not as promised: \u001b[31mits memory.",
    probes: [],
    facts: [
      { fact: "kernel", found: "Linux 6.12\n\u001b]0;x", promised: "its own", holds: true },
      { fact: "memory", found: "2192 MiB", promised: "at most 464 MiB", holds: false },
    ],
  };
  const text = describeCondition(condition);
  expect(text.split("\n")[0]).toBe(`SandboxClassVerified kata  False  ${AT}`);
  expect(text).toMatch(/^kernel +Linux 6\.12\\x0a\\x1b\]0;x +its own +holds$/m);
  expect(text).toMatch(/^memory +2192 MiB +at most 464 MiB +NOT SO$/m);
  // oxlint-disable-next-line no-control-regex -- no control character from a sandbox's output may be left
  expect(text).not.toMatch(/\u001b/);
});

test("the network of a class, and a condition from before classes were told apart", () => {
  const probe = { target: "a node", address: "10.0.0.1:10250/tcp", allowed: false, fromSandbox: "silent", fromPlatform: "open" };
  const condition: Condition = { type: "NetworkIsolationVerified", status: "True", at: AT, message: "Shut.", probes: [probe] };
  expect(describeCondition({ ...condition, isolation: "gvisor" })).toMatch(/^NetworkIsolationVerified gvisor {2}True/);
  const text = describeCondition(condition);
  expect(text).toMatch(/^NetworkIsolationVerified {2}True/);
  expect(text).toMatch(/^a node +10\.0\.0\.1:10250\/tcp +silent +open +closed, and there$/m);
});
