// The verdict of the network check, for results of closed and of open networks.
import { describe, expect, test } from "vitest";
import { judge, targetsOf, type Target } from "./targets.ts";

const targets: Target[] = [
  { name: "the egress proxy", protocol: "tcp", host: "10.0.0.1", port: 3128, allowed: true },
  { name: "another tenant's sandbox", protocol: "tcp", host: "10.0.0.2", port: 8443, mustBeProved: true },
  { name: "a node", protocol: "tcp", host: "fd00::1", port: 10_255 },
  { name: "metadata", protocol: "tcp", host: "169.254.169.254", port: 80, onlyFromSandbox: true },
];
const verdict = (fromSandbox: string[], fromPlatform: (string | undefined)[]) => judge(targets, fromSandbox, fromPlatform, new Date(0));
const GOOD = [
  ["open", "silent", "silent", "EHOSTUNREACH"],
  ["open", "open", "ECONNREFUSED", undefined],
] as const;

test("closed where it must be, open where it may be, and proved", () => {
  const { status, message, probes } = verdict([...GOOD[0]], [...GOOD[1]]);
  expect({ status, message }).toEqual({ status: "True", message: "3 targets are closed to sandboxes, 1 of them proved to be there." });
  expect(probes[2]).toEqual({
    target: "a node",
    address: "[fd00::1]:10255/tcp",
    allowed: false,
    fromSandbox: "silent",
    fromPlatform: "ECONNREFUSED",
  });
  expect(probes[3]).not.toHaveProperty("fromPlatform");
});

describe("is not verified when", () => {
  const change = (side: 0 | 1, index: number, value: string) => {
    const both = [[...GOOD[0]], [...GOOD[1]]] as [string[], (string | undefined)[]];
    both[side][index] = value;
    return verdict(...both);
  };
  test.each<[string, 0 | 1, number, string, RegExp]>([
    ["a sandbox reaches another tenant's", 0, 1, "open", /reach another tenant's sandbox \(10\.0\.0\.2:8443/],
    ["a sandbox reaches the metadata service", 0, 3, "open", /reach metadata/],
    ["the answer is a refusal where nothing but the network could have refused", 0, 2, "ECONNREFUSED", /reach a node/],
  ])("%s", (_what, side, index, value, message) => {
    expect(change(side, index, value)).toMatchObject({ status: "False", message: expect.stringMatching(message) });
  });
  test.each<[string, 0 | 1, number, string, RegExp]>([
    ["the one allowed way is closed: then everything might be closed for another reason", 0, 0, "silent", /cannot reach the egress proxy/],
    ["it could not be tried", 0, 3, "error", /could not be tried \(error\)/],
    ["a name was not found", 0, 2, "EAI_AGAIN", /could not be tried \(EAI_AGAIN\)/],
    ["the platform itself does not reach it, so nothing is proved", 1, 1, "silent", /Nothing is proved about another tenant's sandbox/],
  ])("%s; but no hole is seen", (_what, side, index, value, message) => {
    expect(change(side, index, value)).toMatchObject({ status: "Unknown", message: expect.stringMatching(message) });
  });
  test("a policy that refuses instead of dropping is no fault, where the target is proved to be there", () => {
    expect(change(0, 1, "ECONNREFUSED").status).toBe("True");
  });
});

test("a service that nobody is behind yet is refused to everybody, which is no hole; an open one is", () => {
  const service = targets.map((target) => (target.name === "a node" ? { ...target, service: true as const } : target));
  const seen = (inside: "open" | "ECONNREFUSED") => judge(service, ([...GOOD[0]] as string[]).with(2, inside), [...GOOD[1]], new Date(0));
  expect(seen("ECONNREFUSED")).toMatchObject({
    status: "True",
    message: "3 targets are closed to sandboxes, 1 of them proved to be there.",
  });
  expect(seen("open")).toMatchObject({ status: "False", message: expect.stringContaining("reach a node") });
});

test("every part of the cluster that a sandbox must not reach is tried", () => {
  const place = (host: string) => ({ host, port: 1 });
  const all = targetsOf({
    otherTenant: place("other"),
    sameTenant: place("same"),
    egress: place("egress"),
    controlPlane: [place("control")],
    own: [place("own")],
    gateway: [place("gateway")],
    logAgents: [place("agent")],
    database: place("database"),
    api: place("api"),
    nodes: ["node"],
    nodePorts: [30_080],
    nameServers: ["dns"],
  });
  const tried = all.map(({ host, port, protocol }) => `${host}:${port}/${protocol}`);
  expect(tried).toEqual(
    expect.arrayContaining([
      "other:1/tcp",
      "same:1/tcp",
      "control:1/tcp",
      "gateway:1/tcp",
      "agent:1/tcp",
      "database:1/tcp",
      "api:1/tcp",
      "dns:53/udp",
      "dns:53/tcp",
      "other:0/icmp",
      "same:0/icmp",
      "own:1/tcp",
      "own:0/icmp",
      "node:0/icmp",
      "1.1.1.1:0/icmp",
    ]),
  );
  expect(tried).toEqual(
    expect.arrayContaining([
      "node:6443/tcp",
      "node:10250/tcp",
      "node:10255/tcp",
      "node:30080/tcp",
      "fd20:ce::254:80/tcp",
      "192.0.0.192:80/tcp",
    ]),
  );
  expect(all.filter(({ allowed }) => allowed).map(({ host }) => host)).toEqual(["egress"]);
  expect(all.filter((target) => target.service).map(({ host }) => host)).toEqual(["control", "gateway", "node"]);
});
