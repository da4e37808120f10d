// Which build is taken next, and which version is live: on a real Postgres, with real stores and the real worker.
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BuildJob } from "../db/system-database.ts";
import type { BuildPump } from "./pump.ts";
import { DEFAULT_CAPS } from "../contract/tenant-caps.ts";
import { by, createBuildPlatform, type BuildPlatform, type DeployOptions } from "../../../deploy/test/src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../../../deploy/test/src/test-postgres.ts";

const CAPS = { ...DEFAULT_CAPS, functions: 6, versionsPerFunction: 3, queuedBuilds: 5, runningBuilds: 2, instances: 10, memoryMib: 4096 };
let postgres: TestPostgres;
let platform: BuildPlatform;
const pumps: BuildPump[] = [];
const open = new Set<BuildJob>();

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  platform = await createBuildPlatform(postgres, CAPS);
});
afterEach(async () => {
  await Promise.all(pumps.splice(0).map((pump) => pump.close()));
  platform.builders.behave = async () => ({ module: "export default (request, response) => response.end('hello');" });
  while ((await platform.system.takeNextBuild(1000, [])) !== undefined) continue;
  for (const { tenantId, buildId } of open) await platform.builds.taken({ tenantId, buildId }).then((taken) => taken && end(taken.build));
  open.clear();
  if (platform.errors.length > 0) throw new AggregateError(platform.errors.splice(0));
});
afterAll(async () => {
  await platform.close();
  await postgres.stop();
});

const name = () => `f-${randomBytes(4).toString("hex")}`;
/** Ends a build for which the test runs no worker. */
const end = ({ tenantId, id, versionId, epoch }: { tenantId: string; id: string; versionId: string; epoch: number }) =>
  platform.builds.finish({ tenantId, buildId: id }, epoch, {
    version: { functionId: tenantId, id: versionId, number: 1 },
    problem: { type: "t", title: "t", status: 500, code: "INTERNAL", detail: "The test is over." },
    seq: 900,
  });
async function deploy(tenantId: string, functionName = name(), more: DeployOptions = {}) {
  const made = await platform.deploy(tenantId, functionName, undefined, undefined, more);
  open.add(made.job);
  return made;
}
const row = (job: BuildJob) => platform.builds.get(job);
const next = async (most = CAPS.runningBuilds, barred: string[] = []) => (await platform.system.takeNextBuild(most, barred))?.buildId;
const live = async (tenantId: string, functionName: string) => (await platform.functions.get(tenantId, functionName)).live?.number;
/** The only version of that number. */
async function version(tenantId: string, functionName: string, number: number) {
  return (await platform.functions.versions(tenantId, functionName, number + 1, 1))[0]?.version;
}
function gate() {
  let opens = () => {};
  const opened = new Promise<void>((resolve) => (opens = resolve));
  return { opened, open: opens };
}

describe("the next build", () => {
  test("is of the tenant with the fewest running, then of the one served longest ago, and a tenant's own are in order", async () => {
    const [greedy, patient] = [await platform.tenant(), await platform.tenant()];
    const theirs = [await deploy(greedy), await deploy(greedy), await deploy(greedy)].map(({ job }) => job.buildId);
    const other = [(await deploy(patient)).job.buildId, (await deploy(patient)).job.buildId];
    expect(await next(9)).toBe(theirs[0]); // no tenant was ever served, so the longest waiting build is next
    expect(await next(9)).toBe(other[0]); // this tenant has the fewest running builds
    expect(await next(9)).toBe(theirs[1]); // both have one running, and this tenant was served longer ago
    expect(await next(9)).toBe(other[1]);
    expect(await next(9)).toBe(theirs[2]);
    expect(await next(9)).toBeUndefined();
  });

  test("is of no tenant that has as many running as it may, nor of one that is barred", async () => {
    const [tenant, barred] = [await platform.tenant(), await platform.tenant()];
    for (let count = 0; count < 3; count++) await deploy(tenant);
    const { job } = await deploy(barred);
    expect(await next(2, [barred])).toBeDefined();
    expect(await next(2, [barred])).toBeDefined();
    expect(await next(2, [barred])).toBeUndefined();
    expect(await next(2)).toBe(job.buildId);
    expect(await next(3)).toBeDefined();
  });

  test("is taken once, however many ask at the same time", async () => {
    const tenants = await Promise.all(Array.from({ length: 4 }, () => platform.tenant()));
    const made = await Promise.all(tenants.flatMap((tenantId) => [deploy(tenantId), deploy(tenantId)]));
    const taken = await Promise.all(Array.from({ length: 20 }, () => next(9)));
    for (let left = await next(9); left !== undefined; left = await next(9)) taken.push(left);
    expect(taken.filter((id) => id !== undefined).toSorted()).toEqual(made.map(({ job }) => job.buildId).toSorted());
  });
});

describe("places for builders", () => {
  test("a version whose import hangs holds none: others are built while it is being started", async () => {
    const [hanging, quick] = [await platform.tenant(), await platform.tenant()];
    const { opened, open: letGo } = gate();
    Object.assign(globalThis, { letGo: opened });
    platform.builders.behave = async (number) => ({
      module: number === first ? "await globalThis.letGo; export default 1;" : "export default (request, response) => response.end('x');",
    });
    const first = platform.builders.count() + 1;
    const [slow, other] = [await deploy(hanging), await deploy(quick)];
    const pump = platform.pump(platform.worker(), 1); // one place
    pumps.push(pump);
    pump.run();
    await expect.poll(async () => (await row(other.job)).state, { timeout: 20_000 }).toBe("succeeded");
    expect((await row(slow.job)).state).toBe("running");
    letGo();
    await pump.settled();
    expect((await row(slow.job)).state).toBe("failed"); // the value 1 is not a handler
  });
});

describe("a version that would be live and is not begun", () => {
  test("is superseded by a newer one that would be, and its build says so; others are not", async () => {
    const tenantId = await platform.tenant();
    const functionName = name();
    const old = await deploy(tenantId, functionName);
    const aside = await deploy(tenantId, functionName, { promote: false });
    const elsewhere = await deploy(tenantId);
    const newest = await deploy(tenantId, functionName);
    expect(await row(old.job)).toMatchObject({ state: "superseded", problem: { code: "SUPERSEDED" }, endedAt: expect.any(Date) });
    expect(await platform.builds.events(old.job, -1, 10)).toMatchObject([
      { type: "end", state: "superseded", problem: { code: "SUPERSEDED" } },
    ]);
    expect((await version(tenantId, functionName, 1))?.state).toBe("superseded");
    for (const { job } of [aside, elsewhere, newest]) expect((await row(job)).state).toBe("queued");
    await expect(platform.functions.setLive(by(tenantId), functionName, 1)).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("but is not once its build has begun", async () => {
    const tenantId = await platform.tenant();
    const functionName = name();
    const old = await deploy(tenantId, functionName);
    await next();
    await deploy(tenantId, functionName);
    expect((await row(old.job)).state).toBe("running");
  });
});

describe("live", () => {
  /** Deploys two versions and lets the build of the first end last; `between` runs after the second has ended. */
  async function crossing(between: (tenantId: string, functionName: string) => Promise<void>) {
    const tenantId = await platform.tenant();
    const functionName = name();
    const { opened, open: finish } = gate();
    const slow = platform.builders.count() + 2;
    platform.builders.behave = async (number) => {
      if (number === slow) await opened;
      return { module: `export default (request, response) => response.end("${number}");` };
    };
    await platform.run((await deploy(tenantId, functionName)).job);
    const old = await deploy(tenantId, functionName);
    const running = platform.run(old.job);
    await expect.poll(() => platform.builders.count()).toBe(slow);
    await between(tenantId, functionName);
    finish();
    await running;
    return { tenantId, functionName, old };
  }

  test("is not taken from a newer version by an older one that is finished later", async () => {
    const { tenantId, functionName, old } = await crossing(async (tenant, fn) => platform.run((await deploy(tenant, fn)).job));
    expect(await live(tenantId, functionName)).toBe(3);
    expect(await row(old.job)).toMatchObject({ state: "superseded", problem: { code: "SUPERSEDED" } });
    expect((await platform.builds.events(old.job, -1, 100)).at(-1)).toMatchObject({ type: "end", state: "superseded" });
    await platform.functions.setLive(by(tenantId), functionName, 2); // the version is ready and may be chosen by hand
    expect(await live(tenantId, functionName)).toBe(2);
  });

  test("stays where somebody put it while a version was being built", async () => {
    const { tenantId, functionName, old } = await crossing((tenant, fn) => platform.functions.setLive(by(tenant), fn, 1));
    expect(await live(tenantId, functionName)).toBe(1);
    expect((await row(old.job)).state).toBe("superseded");
    await platform.run((await deploy(tenantId, functionName)).job); // a version deployed after the decision becomes live again
    expect(await live(tenantId, functionName)).toBe(3);
  });

  test("moves when the newer version fails, in whatever order they end", async () => {
    const { tenantId, functionName, old } = await crossing(async (tenant, fn) => {
      const before = platform.builders.behave;
      platform.builders.behave = async () => ({ failed: "no" });
      await platform.run((await deploy(tenant, fn)).job);
      platform.builders.behave = before;
    });
    expect(await live(tenantId, functionName)).toBe(2);
    expect((await row(old.job)).state).toBe("succeeded");
  });
});

describe("caps of a tenant", () => {
  test("queued builds: as many as it may, then QUOTA_EXCEEDED, and nothing of it is left", async () => {
    const tenantId = await platform.tenant();
    for (let count = 0; count < CAPS.queuedBuilds; count++) await deploy(tenantId);
    const refused = name();
    await expect(deploy(tenantId, refused)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED", hint: expect.any(String) });
    await expect(platform.functions.get(tenantId, refused)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await deploy(await platform.tenant()); // another tenant's queue is not affected
    await next();
    await deploy(tenantId);
  });

  test("functions: exact when all come at once", async () => {
    const tenantId = await platform.tenant();
    const all = await Promise.allSettled(
      Array.from({ length: 10 }, async () => {
        const made = await deploy(tenantId);
        await platform.run(made.job);
      }),
    );
    const refused = all.filter((one) => one.status === "rejected");
    expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(refused.map(() => "QUOTA_EXCEEDED"));
    const list = await platform.functions.list(tenantId, undefined, 100);
    expect(list.length).toBeLessThanOrEqual(CAPS.functions);
    while ((await platform.functions.list(tenantId, undefined, 100)).length < CAPS.functions)
      await platform.run((await deploy(tenantId)).job);
    await expect(deploy(tenantId)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
  });

  test("the first deploys of one name, all at once, make one function with as many versions", async () => {
    const tenantId = await platform.tenant();
    const functionName = name();
    const made = await Promise.all(Array.from({ length: 8 }, () => deploy(tenantId, functionName)));
    expect(new Set(made.map(({ owner }) => owner.id)).size).toBe(1);
    expect(made.map((one) => one.version.number).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("versions of a function: the oldest go, but never what is live or being built", async () => {
    const tenantId = await platform.tenant();
    const functionName = name();
    const numbers = async () =>
      (await platform.functions.versions(tenantId, functionName, undefined, 100)).map(({ version: { number } }) => number);
    for (let count = 0; count < 3; count++) await platform.run((await deploy(tenantId, functionName)).job);
    expect(await numbers()).toEqual([3, 2, 1]);
    await platform.functions.setLive(by(tenantId), functionName, 1);
    await platform.run((await deploy(tenantId, functionName, { promote: false })).job);
    expect(await numbers()).toEqual([4, 3, 1]);
    const [a, b] = [await deploy(tenantId, functionName, { promote: false }), await deploy(tenantId, functionName, { promote: false })];
    expect(await numbers()).toEqual([6, 5, 1]);
    await deploy(tenantId, functionName, { promote: false });
    expect(await numbers()).toEqual([7, 6, 5, 1]); // all of them are needed
    for (const { job } of [a, b]) expect((await row(job)).state).toBe("queued");
  });

  test("versions of a function: what never was ready goes before what somebody may go back to", async () => {
    const tenantId = await platform.tenant();
    const functionName = name();
    for (let count = 0; count < 2; count++) await platform.run((await deploy(tenantId, functionName)).job);
    await deploy(tenantId, functionName);
    await deploy(tenantId, functionName); // supersedes the one before
    const left = (await platform.functions.versions(tenantId, functionName, undefined, 100)).map(({ version: { number } }) => number);
    expect(left).toEqual([4, 2, 1]);
  });

  test("layers: older versions of the same function make room, never what is live, and then the build says so", async () => {
    const small = await createBuildPlatform(postgres, { ...DEFAULT_CAPS, layerBytes: 20 * 1024 });
    const tenantId = await small.tenant();
    small.builders.behave = async (number) => ({
      module: `${"/".repeat(6_000)}\nexport default (request, response) => response.end("${number}");`,
    });
    const [fn, other] = [name(), name()];
    const numbers = async () => (await small.functions.versions(tenantId, fn, undefined, 100)).map(({ version: { number } }) => number);
    await small.run((await small.deploy(tenantId, fn)).job); // each layer has 8 to 9 KiB
    await small.run((await small.deploy(tenantId, fn)).job);
    await small.run((await small.deploy(tenantId, fn)).job);
    expect(await numbers()).toEqual([3, 2]);
    const { job } = await small.deploy(tenantId, other);
    await small.run(job);
    expect(await small.builds.get(job)).toMatchObject({ state: "failed", problem: { code: "QUOTA_EXCEEDED" } });
    expect((await small.functions.get(tenantId, fn)).live?.number).toBe(3);
    await small.functions.remove(by(tenantId), fn);
    const again = await small.deploy(tenantId, other);
    await small.run(again.job);
    expect((await small.builds.get(again.job)).state).toBe("succeeded");
    await small.close();
  });

  test("min: counts when it is set, for what will be live too, and for what is made live again", async () => {
    const tenantId = await platform.tenant();
    const first = name();
    await platform.run((await deploy(tenantId, first, { min: 6 })).job);
    await deploy(tenantId, name(), { min: 3 }); // not built yet: it will be live
    await expect(deploy(tenantId, name(), { min: 2 })).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    await deploy(tenantId, name(), { min: 1 });
    await platform.run((await deploy(tenantId, first)).job); // this version lowers its min to 0
    await deploy(tenantId, name(), { min: 6 });
    await expect(platform.functions.setLive(by(tenantId), first, 1)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    const other = await platform.tenant();
    await deploy(other, name(), { min: 2, memoryMib: 2048 });
    await expect(deploy(other, name(), { min: 1, memoryMib: 128 })).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
  });
});
