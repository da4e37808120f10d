// Which sandbox classes are checked, when, and whether tenants' pods may then start. Other tests start real sandboxes; in this one none
// comes up.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Condition } from "../../contract/conditions.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { settledLoads, type SandboxDriver, type SandboxSpec } from "../driver.ts";
import { createChecks, type Checks } from "./checks.ts";
import type { Isolations } from "./isolations.ts";

/** The sandbox classes that the cluster has. */
let there: Isolation[];
let started: SandboxSpec[];
let before: Partial<Record<Isolation, Condition["status"]>>;
let checks: Checks;
let driver: SandboxDriver;
const notLoaded = () => Promise.reject(new Error("not loaded"));
beforeEach(() => {
  vi.useFakeTimers();
  [there, started, before] = [[], [], {}];
  driver = {
    name: "none",
    isolations: [],
    async start(spec) {
      started.push(spec);
      throw new PlatformError("SANDBOX_FAILED", "No pod comes up.");
    },
    load: notLoaded,
    ...settledLoads(notLoaded),
    stop: async () => undefined,
    list: async () => [],
    removeTenant: async () => undefined,
  };
});
afterEach(() => {
  checks.close();
  vi.useRealTimers();
});

function make(): Checks {
  const isolations: Isolations = {
    refresh: async () => undefined,
    available: () => there,
    async require(isolation) {
      if (!there.includes(isolation)) throw new PlatformError("ISOLATION_UNAVAILABLE", `no ${isolation}`);
    },
    overheadMib: async () => 64,
    missing: (isolation) => condition("SandboxClassVerified", isolation, "Unknown"),
  };
  return createChecks({
    driver,
    isolations,
    base: "base",
    epoch: 1,
    facts: () => Promise.reject(new Error("no facts")),
    nodeBootId: async () => "boot",
    memory: (type, isolation) => {
      const status = before[isolation];
      return { before: status === undefined ? undefined : condition(type, isolation, status), keep: () => undefined };
    },
    onError: () => undefined,
  });
}
const condition = (type: Condition["type"], isolation: Isolation, status: Condition["status"]): Condition => ({
  type,
  isolation,
  status,
  at: new Date().toISOString(),
  message: `${type} of ${isolation}`,
  probes: [],
});
const kinds = (conditions: Condition[]) => conditions.map(({ type, isolation, status }) => [type, isolation, status]);
const settled = async <T>(work: Promise<T>): Promise<unknown> => {
  const seen = work.then(
    () => "allowed",
    (error: unknown) => error,
  );
  await vi.advanceTimersByTimeAsync(10_000);
  return seen;
};

test("a cluster with Kata alone: its network and its class are looked at, in Kata, and nothing in gVisor", async () => {
  there = ["kata"];
  checks = make();
  const seen = checks.run();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(kinds(await seen)).toEqual([
    ["NetworkIsolationVerified", "kata", "Unknown"],
    ["SandboxClassVerified", "kata", "Unknown"],
  ]);
  expect(started.length).toBeGreaterThan(0);
  expect(new Set(started.map(({ isolation }) => isolation))).toEqual(new Set(["kata"]));
});

test("what is verified of one class says nothing of another", async () => {
  there = ["gvisor", "kata"];
  before = { gvisor: "True" };
  checks = make();
  expect(await settled(checks.require("gvisor"))).toBe("allowed");
  expect(await settled(checks.require("kata"))).toMatchObject({
    code: "ISOLATION_UNAVAILABLE",
    message: expect.stringContaining("kata"),
  });
});

test("of a class both must be verified", async () => {
  there = ["kata"];
  checks = make();
  expect(await settled(checks.require("kata"))).toMatchObject({
    code: "ISOLATION_UNAVAILABLE",
    message: expect.stringMatching(/network keeps kata sandboxes|class kata are what it promises/),
  });
  checks.close();
  before = { kata: "True" };
  checks = make();
  expect(await settled(checks.require("kata"))).toBe("allowed");
});

test("a class that is not there is refused as such and not looked at; one that comes later is looked at when it is asked for", async () => {
  there = ["gvisor"];
  before = { gvisor: "True" };
  checks = make();
  await checks.begin();
  await expect(checks.require("kata")).rejects.toMatchObject({ message: "no kata" });
  expect(kinds(checks.current()).map(([, isolation]) => isolation)).toEqual(["gvisor", "gvisor"]);
  expect(started.every(({ isolation }) => isolation === "gvisor")).toBe(true);
  there = ["gvisor", "kata"];
  await settled(checks.require("kata"));
  expect(started.some(({ isolation }) => isolation === "kata")).toBe(true);
});

test("without any class the operator is told what each lacks", async () => {
  checks = make();
  expect(kinds(await checks.run())).toEqual([
    ["SandboxClassVerified", "gvisor", "Unknown"],
    ["SandboxClassVerified", "kata", "Unknown"],
  ]);
  expect(started).toEqual([]);
});
