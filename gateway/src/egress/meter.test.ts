import { egressUsageSchema, type EgressSource } from "@fnctl/control-plane/contract/internal";
import { beforeEach, describe, expect, test } from "vitest";
import { Meter } from "./meter.ts";

const T = "00000000-0000-7000-8000-00000000000a";
const source = (functionId: string | null, tenantId = T): EgressSource => ({
  tenantId,
  functionId,
  version: 1,
  label: "",
  kind: "function",
  allow: [],
  maxBytes: 1,
  maxConnections: 1,
});
const [F, G, H] = ["f", "g", "h"].map((id) => source(id)) as [EgressSource, EgressSource, EgressSource];
const NOON = Date.parse("2026-11-28T12:00:00Z");
let now: number;
let meter: Meter;
beforeEach(() => {
  now = NOON;
  meter = new Meter({ functionBytes: 100, functionConnections: 3, tenantBytes: 150, tenantConnections: 5 }, () => now);
});
const over = (what: RegExp) =>
  expect.objectContaining({ code: "QUOTA_EXCEEDED", message: expect.stringMatching(what) as string }) as unknown;

test("no day's sum falls below nothing, which no report could tell", () => {
  const connection = meter.begin(F);
  connection.add(90, "bytesUp");
  now += 24 * 3600 * 1000;
  expect(connection.add(-40, "bytesUp")).toBeUndefined();
  expect(meter.untold(9).map(({ bytesUp }) => bytesUp)).toEqual([90]);
  connection.add(1, "bytesUp");
  expect(
    egressUsageSchema.safeParse({ proxy: "p", uses: meter.untold(9).map((use) => ({ ...use, tenantId: T, functionId: T })) }).success,
  ).toBe(true);
});

describe("a day's cap", () => {
  test("of bytes is of both directions and of all connections of a function; another function has its own", () => {
    const [first, second] = [meter.begin(F), meter.begin(F)];
    expect([first.add(60, "bytesUp"), second.add(40, "bytesDown")]).toEqual([undefined, undefined]);
    expect(() => meter.begin(F)).toThrow(over(/100 bytes that this function/));
    expect(second.add(1, "bytesDown")).toEqual(over(/100 bytes that this function/));
    expect(meter.begin(G).add(40, "bytesUp")).toBeUndefined();
  });

  test("of bytes of a tenant is of all its functions; another tenant has its own", () => {
    const [one, other] = [meter.begin(F), meter.begin(G)];
    one.add(90, "bytesUp");
    expect(other.add(60, "bytesUp")).toBeUndefined();
    expect(other.add(1, "bytesUp")).toEqual(over(/150 bytes that all functions of the tenant/));
    expect(() => meter.begin(H)).toThrow(over(/150 bytes that all functions of the tenant/));
    expect(meter.begin(source("other", "00000000-0000-7000-8000-00000000000b")).add(90, "bytesUp")).toBeUndefined();
  });

  test("of connections counts those that are begun", () => {
    for (let i = 0; i < 3; i++) meter.begin(F).end(1);
    expect(() => meter.begin(F)).toThrow(over(/3 connections that this function/));
    for (let i = 0; i < 2; i++) meter.begin(G);
    expect(() => meter.begin(G)).toThrow(over(/5 connections that all functions/));
  });

  test("is another one the next day, for open connections, too", () => {
    const open = meter.begin(F);
    open.add(100, "bytesUp");
    now = Date.parse("2026-11-29T00:00:00Z");
    expect(open.add(100, "bytesUp")).toBeUndefined();
    expect(open.add(1, "bytesUp")).toEqual(over(/100 bytes/));
  });

  test("is not a builder's", () => {
    const build = meter.begin(source(null));
    expect([build.add(1e9, "bytesDown"), meter.untold(9)]).toEqual([undefined, []]);
  });
});

describe("what was moved", () => {
  const use = (functionId: string, day: string, amounts: object) => ({
    tenantId: T,
    functionId,
    day: `2026-11-${day}`,
    connections: 1,
    bytesUp: 0,
    bytesDown: 0,
    openMs: 0,
    ...amounts,
  });

  test("is told as sums of a day, and again only when it has changed", () => {
    const open = meter.begin(F);
    open.add(7, "bytesUp");
    const first = meter.untold(9);
    expect(first).toEqual([use("f", "28", { bytesUp: 7 })]);
    open.add(8, "bytesDown"); // while it is being told
    meter.told(first);
    const next = meter.untold(9);
    expect(next).toEqual([use("f", "28", { bytesUp: 7, bytesDown: 8 })]);
    meter.told(next);
    expect(meter.untold(9)).toEqual([]);
    open.end(1_234.4);
    expect(meter.untold(9)).toEqual([use("f", "28", { bytesUp: 7, bytesDown: 8, openMs: 1_234 })]);
  });

  test("of a day that is over is told once more, as its own", () => {
    const open = meter.begin(F);
    open.add(7, "bytesUp");
    now = Date.parse("2026-11-29T00:00:01Z");
    open.add(8, "bytesUp");
    const both = meter.untold(9);
    expect(both).toEqual([use("f", "28", { bytesUp: 7 }), use("f", "29", { connections: 0, bytesUp: 8 })]);
    meter.told(both);
    expect(meter.untold(9)).toEqual([]);
  });

  test("is told so many at a time", () => {
    for (const one of [F, G, H]) meter.begin(one);
    const some = meter.untold(2);
    meter.told(some);
    expect([some.length, meter.untold(2).length]).toEqual([2, 1]);
  });
});
