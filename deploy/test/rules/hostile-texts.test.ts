// The error text of a builder or of a function's code is the tenant's own: whatever characters it holds, the build ends exactly once.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { by, createBuildPlatform, type BuildPlatform, type Builder } from "../src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let platform: BuildPlatform;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  platform = await createBuildPlatform(postgres);
});
afterEach(() => {
  if (platform.errors.length > 0) throw new AggregateError(platform.errors.splice(0));
});
afterAll(async () => {
  await platform.close();
  await postgres.stop();
});

test.each<[string, Builder, string]>([
  ["the builder's failure holds a NUL", async () => ({ failed: "a\0b" }), "BUILD_FAILED"],
  ["the builder's failure is cut within a surrogate pair", async () => ({ failed: `${"a".repeat(7_999)}\u{1f600}` }), "BUILD_FAILED"],
  ["the code's error holds a NUL", async () => ({ module: `throw new Error("a\\0b");` }), "INIT_FAILED"],
  ["the code's error holds half a pair", async () => ({ module: `throw new Error("a\\ud83d");` }), "INIT_FAILED"],
])("%s: the build fails with its reason, once", async (_what, behave, code) => {
  platform.builders.behave = behave;
  const { job } = await platform.deploy(await platform.tenant(), "f");
  await platform.run(job);
  expect(await platform.builds.get(job)).toMatchObject({ state: "failed", epoch: 1, problem: { code } });
});

test("lines of a build's log hold whatever the builder wrote", async () => {
  platform.builders.lines = ["a\0b", "a\ud83d", "after"];
  const { job } = await platform.deploy(await platform.tenant(), "f");
  await platform.run(job);
  const texts = (await platform.builds.events(job, -1, 100)).flatMap((event) => (event.type === "log" ? [event.text] : []));
  expect(texts).toEqual(["a\ufffdb", "a\ufffd", "after"]);
});

test("what a failed instance says is kept as far as it can be, and nothing of a function that is gone", async () => {
  const tenantId = await platform.tenant();
  const { functionId } = (await platform.deploy(tenantId, "f")).version;
  const keep = (detail: string) => platform.functions.keepFailure(tenantId, functionId, { reason: "exited", detail, version: 1 });
  await keep("first");
  await keep(`a\0b${"c".repeat(5_000)}`);
  expect((await platform.functions.lastFailure(tenantId, functionId))?.detail).toBe(`a\ufffdb${"c".repeat(3_997)}`);
  await platform.functions.remove(by(tenantId), "f");
  await keep("its last instance ended");
  expect(await platform.functions.lastFailure(tenantId, functionId)).toBeUndefined();
});
