// What egress proxies tell the control plane of connections, and what they are told by it: to each its own.
import http from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createEgressRecords } from "@fnctl/control-plane/egress/records";
import { newId } from "@fnctl/control-plane/service/uuid7";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { SECRET, openEgressPlane, type EgressPlane, type Owner } from "../src/egress-plane.ts";

let plane: EgressPlane;
/** A tenant for each test. */
let owner: Owner;
beforeAll(async () => {
  plane = await openEgressPlane();
  await plane.startPlane();
  await plane.startProxy();
});
afterAll(() => plane.close());
beforeEach(async () => {
  owner = await plane.owner();
});

const status = async (instance: string, host: string): Promise<number> => (await plane.tunnel(instance, host)).status;

test("what was reached and what was refused is the tenant's to see, and nobody else's", async () => {
  const instance = await plane.sandbox(owner, "a.example");
  expect(await status(instance, "a.example")).toBe(200);
  plane.hangUp();
  await plane.names(instance, "name.example");
  expect(await status(instance, "b.example")).toBe(403);
  const log = async (query = "", token = owner.token) =>
    (await (await plane.call(token, "GET", `/v1/egress/log${query}`)).json()) as { items: { target: string }[]; nextCursor: string | null };
  await expect.poll(async () => (await log()).items.length, { timeout: 5_000 }).toBe(3);
  expect((await log()).items.find(({ target }) => target === `a.example:${plane.port}`)).toMatchObject({
    function: "hello",
    version: 1,
    instance,
    address: "127.0.0.1",
    bytesDown: 5,
    outcome: "closed",
  });
  const refused = (await log("?refused=true")).items.map(({ target }) => target);
  expect(refused.toSorted()).toEqual([`b.example:${plane.port}`, "name.example"]);
  expect((await log("?function=other")).items).toEqual([]);
  const first = await log("?limit=2");
  expect([first.items.length, (await log(`?limit=2&cursor=${first.nextCursor}`)).items.length]).toEqual([2, 1]);
  expect((await log("", (await plane.owner()).token)).items).toEqual([]);
});

test("a record that cannot be kept keeps no other tenant's from being kept", async () => {
  const errors: unknown[] = [];
  const records = createEgressRecords(plane.api.platform.db, (error) => void errors.push(error));
  const other = await plane.owner();
  const record = (of: Owner, instance: string) => ({
    id: newId(),
    tenantId: of.id,
    functionId: of.functionId,
    version: 1,
    instance,
    at: new Date().toISOString(),
    target: "a.example:443",
    address: "",
    bytesUp: 0,
    bytesDown: 0,
    durationMs: 2 ** 40,
    outcome: "closed",
    notLogged: 0,
  });
  await records.keep([record(owner, "x".repeat(101)), record(other, "i1")]);
  expect(errors).toHaveLength(1);
  const query = { refused: false, limit: 10 };
  expect([(await records.list(owner.id, query)).length, (await records.list(other.id, query)).length]).toEqual([0, 1]);
  // Only the newest are kept.
  const few = createEgressRecords(plane.api.platform.db, (error) => void errors.push(error), 2);
  for (const instance of ["i2", "i3"]) await few.keep([record(other, instance)]);
  expect((await few.list(other.id, query)).map((row) => row.record.instance)).toEqual(["i3", "i2"]);
});

test("the proxy's listener tells nothing that is not the proxy's", async () => {
  const { ask, at } = plane;
  expect((await ask(at("feed"), "POST", INTERNAL_PATHS.leases, {})).status).toBe(404);
  expect((await ask(at("feed"), "GET", "/internal/v1/status")).status).toBe(404);
  const lines = await new Promise<string>((resolve) => {
    const headers = { authorization: `Bearer ${SECRET}` };
    http.get({ socketPath: at("feed"), path: `${INTERNAL_PATHS.changes}?holder=test`, headers, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (!text.includes("snapshot-end")) return;
        answer.destroy();
        resolve(text);
      });
    });
  });
  expect(lines).toContain('"egress-policy"');
  expect(lines).not.toContain('"token"');
});
