// A tenant uses allowed operations to try to get more than others: on a real Postgres, with real stores and the real worker.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { once } from "@fnctl/control-plane/db/once";
import { by, createBuildPlatform, type BuildPlatform } from "../src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let platform: BuildPlatform;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  platform = await createBuildPlatform(postgres);
});
afterAll(async () => {
  await platform.close();
  await postgres.stop();
});

const deploy = (tenantId: string) => platform.deploy(tenantId, `f-${randomBytes(4).toString("hex")}`);

describe("who removes functions while they are built", () => {
  test("is not served before others for it", async () => {
    const [patient, greedy] = [await platform.tenant(), await platform.tenant()];
    for (const tenantId of [patient, greedy]) for (let count = 0; count < 3; count++) await deploy(tenantId);
    const order: string[] = [];
    const worker = platform.worker(async (_instance, tenantId, label) => {
      order.push(tenantId === greedy ? "greedy" : "patient");
      if (tenantId === greedy) await platform.functions.remove(by(greedy), label.split(":")[1]!);
    });
    const pump = platform.pump(worker, 1); // one place
    pump.run();
    await expect.poll(() => order.length, { timeout: 20_000 }).toBe(6);
    await pump.settled();
    await pump.close();
    expect(order).toEqual(["patient", "greedy", "patient", "greedy", "patient", "greedy"]);
    expect(platform.errors).toEqual([]);
  });

  test("has no more in hand for it than it may", async () => {
    const tenantId = await platform.tenant();
    await deploy(tenantId);
    expect(await platform.system.takeNextBuild(2, [], [{ tenantId, running: 2, agoMs: 0 }])).toBeUndefined();
    expect(await platform.system.takeNextBuild(2, [], [{ tenantId, running: 1, agoMs: 0 }])).toBeDefined();
  });
});

test("of answers that are kept for an Idempotency-Key the oldest go", async () => {
  const tenantId = await platform.tenant();
  const done: string[] = [];
  const ask = (key: string) =>
    platform.db.change(by(tenantId), "version.create", (unit) =>
      once(unit, tenantId, { key, requestHash: "same" }, async () => (done.push(key), { made: key }), 2),
    );
  for (const key of ["a", "b", "c"]) await ask(key);
  for (const key of ["b", "c", "a"]) expect(await ask(key)).toEqual({ made: key });
  expect(done).toEqual(["a", "b", "c", "a"]);
});
