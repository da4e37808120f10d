// Which records are asked for outside, and how many of what is answered are told.
import { describe, expect, it } from "vitest";
import type { OwnRule } from "@fnctl/control-plane/contract/egress-rules";
import { Pace } from "@fnctl/control-plane/service/pace";
import { rules } from "../testing/egress.ts";
import { createAnswerRecords, type LookUp } from "./dns-records.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { openPolicies, type Policies } from "./policies.ts";
import { RefusalLog } from "./refusal-log.ts";
import type { Source } from "./source.ts";

const policies = openPolicies({ control: undefined, file: undefined, changed: () => undefined, warn: () => undefined });
const signal = new AbortController().signal;
const source: Source = { instance: "i1", settings: rules([27_017]), bytes: 0, tunnels: new Set(), refusals: new RefusalLog() };

const INSIDE = "10.1.2.3";
/** An SRV record's data. */
const server = (name: string): Buffer =>
  Buffer.concat([
    Buffer.alloc(6),
    ...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.of(0),
  ]);

/** What is asked for outside, and what is answered, with these rules of the tenant's own. */
function answering(lookUp: LookUp, own: OwnRule[] = [], asks = source.settings) {
  const asked: string[] = [];
  const withOwn: Policies = { ...policies, rulesFor: (settings) => ({ ...policies.rulesFor(settings), own }) };
  const deps = {
    policies: withOwn,
    pace: new Pace(EGRESS_LIMITS.questions),
    log: () => undefined,
    mayDial: (_settings: unknown, address: string) => address !== INSIDE,
    resolve: async (host: string) => (host.startsWith("10-1-2-3.") ? ["93.184.1.1", INSIDE] : ["93.184.1.1"]),
  };
  const answer = createAnswerRecords(deps, (type, name) => {
    asked.push(`${type} ${name}`);
    return lookUp(type, name);
  });
  return { asked, answer: (name: string, type: "srv" | "txt" = "srv") => answer({ ...source, settings: asks }, type, name, signal) };
}
const failing =
  (code: string): LookUp =>
  () =>
    Promise.reject(Object.assign(new Error(code), { code }));
const none: LookUp = async () => [];

describe("records", () => {
  it("are asked for where a rule covers the name, or the host that it is about", async () => {
    const { asked, answer } = answering(none);
    const covered = ["_mongodb._tcp.good.example", "_DMARC.good.example", "good.example", "_x._tcp.a.wild.example", "a.wild.example"];
    for (const name of covered) expect(await answer(name)).toEqual([]);
    expect(asked).toEqual(covered.map((name) => `srv ${name.toLowerCase()}`));
  });
  it.each([
    "evil.example",
    "_mongodb._tcp.evil.example",
    "a.good.example",
    "_a._b._c.good.example",
    "x._tcp.good.example",
    "_tcp",
    "127.0.0.1",
    "",
  ])("are not asked for of %j", async (name) => {
    const { asked, answer } = answering(none);
    await expect(answer(name, "txt")).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(asked).toEqual([]);
  });
  it("are not asked for of what the tenant denies", async () => {
    const { asked, answer } = answering(none, [{ action: "deny", host: "good.example", ports: [], functionId: null }]);
    await expect(answer("_mongodb._tcp.good.example")).rejects.toThrow(/denied by a rule/);
    expect(asked).toEqual([]);
  });
  it("are not asked for of what is denied by everybody who may reach everything else, either", async () => {
    const all = rules([], { allow: [{ host: "*", ports: [443] }] });
    const { asked, answer } = answering(none, [{ action: "deny", host: "good.example", ports: [], functionId: null }], all);
    await expect(answer("_mongodb._tcp.good.example")).rejects.toThrow(/denied by a rule/);
    expect([await answer("_mongodb._tcp.other.example"), asked]).toEqual([[], ["srv _mongodb._tcp.other.example"]]);
  });
  it("that name servers inside, whose names may hold their addresses, are not told", async () => {
    const [outside, inside] = ["a.example", "10-1-2-3.postgres.svc.cluster.local"].map(server);
    expect(await answering(async () => [inside!, outside!]).answer("_pg._tcp.good.example")).toEqual([outside]);
  });
  it.each(["ENODATA", "ENOTFOUND"])("that are not there (%s) are none", async (code) => {
    expect(await answering(failing(code)).answer("good.example")).toEqual([]);
  });
  it.each(["ETIMEOUT", "ESERVFAIL", "ECONNREFUSED"])("that cannot be had (%s) are told so", async (code) => {
    await expect(answering(failing(code)).answer("good.example")).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
  it("are as many as the limits allow", async () => {
    const { records, bytes } = EGRESS_LIMITS.dnsAnswer;
    const told = async (count: number, size: number) =>
      (await answering(async () => Array.from({ length: count }, () => Buffer.alloc(size))).answer("good.example", "txt")).length;
    expect([await told(records, 1), await told(records + 1, 1)]).toEqual([records, records]);
    expect([await told(8, bytes / 8), await told(8, bytes / 8 + 1)]).toEqual([8, 7]);
  });
});
