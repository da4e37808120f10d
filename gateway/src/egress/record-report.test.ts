// What tenants are told of their connections: nothing is lost while the control plane is away for a moment, and no tenant fills the room.
import { expect, test } from "vitest";
import type { EgressRecord } from "@fnctl/control-plane/contract/internal";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { EGRESS_LIMITS } from "./limits.ts";
import { RecordReport } from "./record-report.ts";
import type { ConnectionRecord } from "./source.ts";

const [A, B, FN] = ["01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b", "01900000-0000-7000-8000-00000000000f"];
const record = (tenant: string | null, target = "a.example:443", more: Partial<ConnectionRecord> = {}): ConnectionRecord => ({
  time: new Date().toISOString(),
  instance: "i1",
  tenant,
  functionId: FN,
  version: 1,
  label: "fn:1",
  target,
  address: "192.0.2.1",
  bytesUp: 1,
  bytesDown: 2,
  durationMs: 3,
  outcome: "closed",
  ...more,
});
function collecting() {
  const got: EgressRecord[][] = [];
  const warnings: string[] = [];
  let away = false;
  let refuse = false;
  const report = new RecordReport(
    async (_path, body) => {
      got.push((body as { records: EgressRecord[] }).records);
      if (refuse) throw new PlatformError("BAD_REQUEST", "not understood");
      if (away) throw new Error("away");
    },
    (message) => void warnings.push(message),
  );
  return { got, report, warnings, setAway: (value: boolean) => void (away = value), setRefuse: (value: boolean) => void (refuse = value) };
}
const wait = { timeout: 10_000, interval: 50 };

test("records come together, once; what was not taken comes again under the same id", async () => {
  const { got, report, setAway } = collecting();
  setAway(true);
  for (const target of ["a", "b"]) report.add(record(A, target));
  await expect.poll(() => got.length, wait).toBe(1);
  report.add(record(B, "c"));
  setAway(false);
  await expect.poll(() => got.length, wait).toBe(2);
  expect(got[0]!.map(({ target }) => target)).toEqual(["a", "b"]);
  expect(new Set(got[1]!.map(({ target }) => target))).toEqual(new Set(["a", "b", "c"]));
  expect(got[1]!.filter(({ target }) => target !== "c").map(({ id }) => id)).toEqual(got[0]!.map(({ id }) => id));
  await report.stop();
  expect(got).toHaveLength(2);
});

test("a tenant has so much room, and another has its own; a report has so many records", async () => {
  const { got, report } = collecting();
  for (let i = 0; i < EGRESS_LIMITS.recordsPerTenant + 5; i += 1) report.add(record(A, `a${i}`));
  report.add(record(B, "b"));
  await expect.poll(() => got.flat().length, wait).toBe(EGRESS_LIMITS.recordsPerTenant + 1);
  expect(Math.max(...got.map(({ length }) => length))).toBe(LIMITS.egressReport);
  expect(got[0]!.slice(0, 3).map(({ target }) => target)).toEqual(["a0", "b", "a1"]); // each has its turn
  report.add(record(A, "again"));
  await report.stop();
  expect(got.flat().at(-1)).toMatchObject({ target: "again", notLogged: 5 }); // those that had no room
});

test("what is refused for good is given up, said, and keeps nothing else from being told", async () => {
  const { got, report, warnings, setRefuse } = collecting();
  setRefuse(true);
  report.add(record(A, "poison"));
  await expect.poll(() => warnings, wait).toEqual(["records were refused"]);
  setRefuse(false);
  report.add(record(B, "after"));
  await expect.poll(() => got.at(-1)?.map(({ target }) => target), wait).toEqual(["after"]);
  await report.stop();
});

test("what is no function's is told to nobody, and an address behind a refused name neither", async () => {
  const { got, report } = collecting();
  report.add(record(null));
  report.add(record(A, "x", { functionId: null }));
  report.add(record(A, "inside.example:80", { outcome: "FORBIDDEN: inside.example leads to an address that functions may not reach." }));
  await report.stop();
  expect(got.flat()).toEqual([expect.objectContaining({ target: "inside.example:80", address: "" })]);
});
