// The build row is the truth (SECURITY F10, Q2, Q3): on a real Postgres with a real queue, each build comes to one end with its reason.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BuildJob } from "../db/system-database.ts";
import type { BuildPump } from "./pump.ts";
import { createBuildQueue, type BuildQueue } from "./queue.ts";
import { MOST_TAKEOVERS, MOST_WAIT_MS } from "./worker.ts";
import { PlatformError } from "../contract/errors.ts";
import type { BuildEvent } from "../contract/resources.ts";
import { by, createBuildPlatform, type BuildPlatform, type Builder } from "../../../deploy/test/src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../../../deploy/test/src/test-postgres.ts";

let postgres: TestPostgres;
let platform: BuildPlatform;
let tenant: string;
const queues: BuildQueue[] = [];
const HELLO: Builder = async () => ({ module: "export default (request, response) => response.end('hello');" });

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  platform = await createBuildPlatform(postgres);
  tenant = await platform.tenant();
});
afterEach(async () => {
  platform.builders.behave = HELLO;
  platform.errors.length = 0;
  await Promise.all(queues.splice(0).map((made) => made.close()));
  await Promise.all(pumps.splice(0).map((made) => made.close()));
  await admin("DELETE FROM fnctl.build WHERE state IN ('queued', 'running')", []);
});
afterAll(async () => {
  await platform.close();
  await postgres.stop();
});

const name = () => `f-${randomBytes(4).toString("hex")}`;
const row = (job: BuildJob) => platform.builds.get(job);
const version = async (functionName: string) => (await platform.functions.versions(tenant, functionName, undefined, 1))[0]!.version;
const events = (job: BuildJob) => platform.builds.events(job, -1, 1000);
const ends = async (job: BuildJob) => (await events(job)).filter((event) => event.type === "end");
const pumps: BuildPump[] = [];
/** Takes builds from now on, as the owner of a platform does; `tell` wakes it. */
async function takingBuilds(worker = platform.worker(), places?: number) {
  const pump = platform.pump(worker, places);
  const onError = (error: unknown) => void platform.errors.push(error);
  const queue = await createBuildQueue({ connection: postgres.url("jobs"), onWake: pump.wake, onError });
  pumps.push(pump);
  queues.push(queue);
  await queue.run();
  pump.run();
  return queue;
}
async function admin(text: string, values: unknown[]): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.admin });
  await client.connect();
  await client.query(text, values);
  await client.end();
}
/** A promise that `opened` exposes and `open` resolves. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("a build", () => {
  test("goes from its row through the queue to a version that serves, with numbered events and one end", async () => {
    const own = await takingBuilds();
    const deployed = await platform.deploy(tenant, name());
    await Promise.all(Array.from({ length: 5 }, () => own.tell(deployed.job))); // told five times, done once
    await expect.poll(async () => (await row(deployed.job)).state, { timeout: 20_000 }).toBe("succeeded");
    expect(await row(deployed.job)).toMatchObject({ epoch: 1, takeovers: 0, problem: null });
    const { live, row: owner } = await platform.functions.get(tenant, deployed.owner.name);
    expect(live).toMatchObject({ number: 1, state: "ready" });
    expect((await platform.images.getImage(tenant, `${owner.name}-v1`)).digest).toBe(live?.imageDigest);
    const all: BuildEvent[] = await events(deployed.job);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_event, index) => index));
    expect(await ends(deployed.job)).toMatchObject([{ state: "succeeded" }]);
  });

  test.each<[string, Builder, object]>([
    [
      "that the builder refuses",
      async () => ({ failed: "SyntaxError in index.ts:3:1" }),
      { code: "BUILD_FAILED", detail: "SyntaxError in index.ts:3:1" },
    ],
    ["whose builder dies", () => Promise.reject(new Error("out of memory")), { code: "BUILD_FAILED" }],
    ["whose code cannot be loaded", async () => ({ module: `throw new Error("no such module");` }), { code: "INIT_FAILED" }],
  ])("%s fails once, with the reason and the request id of the deploy, and leaves what served before", async (_what, behave, problem) => {
    const functionName = name();
    const first = await platform.deploy(tenant, functionName);
    await platform.run(first.job);
    platform.builders.behave = behave;
    const { job } = await platform.deploy(tenant, functionName, "request-0123456789");
    await platform.run(job);
    await platform.run(job); // the queue may tell it again
    expect(await row(job)).toMatchObject({ state: "failed", epoch: 1, problem: { ...problem, requestId: "request-0123456789" } });
    expect(await ends(job)).toMatchObject([{ state: "failed", problem: { ...problem, requestId: "request-0123456789" } }]);
    expect(await version(functionName)).toMatchObject({ number: 2, state: "failed", imageDigest: null });
    expect((await platform.functions.get(tenant, functionName)).live?.number).toBe(1);
  });

  test("of a function that is removed meanwhile ends without a trace and without an error", async () => {
    const functionName = name();
    const { opened, open } = gate();
    platform.builders.behave = async () => (await opened, { module: "export default () => 1;" });
    const { job } = await platform.deploy(tenant, functionName);
    const running = platform.run(job);
    await expect.poll(() => row(job).then(({ state }) => state)).toBe("running");
    await platform.functions.remove(by(tenant), functionName);
    open();
    await running;
    await expect(row(job)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(platform.errors).toEqual([]);
  });
});

describe("a build that needs a part of the platform which is away", () => {
  const away = () => Promise.reject(new PlatformError("UNAVAILABLE", "The egress proxy does not answer."));

  test("waits for it: it is given back, told again, and succeeds once the part is there", async () => {
    const { job } = await platform.deploy(tenant, name());
    await platform.run(job, platform.worker(away));
    expect(await row(job)).toMatchObject({ state: "queued", takeovers: 0, problem: null });
    expect(platform.errors).toMatchObject([{ code: "UNAVAILABLE" }]);
    expect(await ends(job)).toEqual([]);
    expect(await platform.system.takeNextBuild(4, [])).toBeUndefined(); // not at once
    await admin("UPDATE fnctl.build SET retry_at = now() WHERE id = $1", [job.buildId]);
    await platform.run(job);
    expect(await row(job)).toMatchObject({ state: "succeeded", takeovers: 0, epoch: 2 });
  });

  test("but not for ever: it fails with that reason", async () => {
    const { job } = await platform.deploy(tenant, name());
    await admin("UPDATE fnctl.build SET created_at = now() - $2 * interval '1 millisecond' WHERE id = $1", [job.buildId, MOST_WAIT_MS]);
    await platform.run(job, platform.worker(away));
    expect(await row(job)).toMatchObject({ state: "failed", problem: { code: "UNAVAILABLE", requestId: "request-of-the-deploy" } });
    expect(await ends(job)).toHaveLength(1);
  });
});

test("a build that the queue never heard of, or lost, is found from its row", async () => {
  const { job } = await platform.deploy(tenant, name()); // the control plane died between the commit and the queue
  await takingBuilds();
  await expect.poll(async () => (await row(job)).state, { timeout: 20_000 }).toBe("succeeded");
});

test("one message is enough for all builds that wait", async () => {
  const own = await takingBuilds();
  const tenants = await Promise.all([platform.tenant(), platform.tenant(), platform.tenant()]);
  const deployed = await Promise.all(Array.from({ length: 12 }, (_, at) => platform.deploy(tenants[at % 3]!, name())));
  await own.tell(deployed[0]!.job);
  await expect
    .poll(async () => (await Promise.all(deployed.map(({ job }) => row(job)))).map(({ state }) => state), {
      timeout: 30_000,
      interval: 100,
    })
    .toEqual(Array.from({ length: 12 }, () => "succeeded"));
});

describe("two workers on one build", () => {
  test("record exactly one digest: the one that holds the row; the other changes nothing and ends it not", async () => {
    const functionName = name();
    const [slow, quick] = [gate(), gate()];
    platform.builders.behave = async (number) => {
      const { opened } = number % 2 === firstIsOdd ? slow : quick;
      await opened;
      return { module: `export default (request, response) => response.end("${number}");` };
    };
    const firstIsOdd = (platform.builders.count() + 1) % 2;
    const { job } = await platform.deploy(tenant, functionName);
    const old = platform.run(job);
    await expect.poll(() => platform.builders.count() % 2).toBe(firstIsOdd);
    await platform.system.requeueBuilds([]);
    const next = platform.run(job); // as after a restart: the old worker is paused and will go on
    await expect.poll(async () => (await row(job)).epoch).toBe(2);
    quick.open();
    await next;
    const recorded = (await version(functionName)).imageDigest;
    expect(await row(job)).toMatchObject({ state: "succeeded", epoch: 2, takeovers: 1 });
    const before = await events(job);
    slow.open();
    await old;
    expect((await version(functionName)).imageDigest).toBe(recorded);
    expect((await row(job)).state).toBe("succeeded");
    expect(await events(job)).toEqual(before); // not even a line of the old one's log
    expect(await ends(job)).toHaveLength(1);
  });

  test("many at once: one end, one digest, no lost event number", async () => {
    const functionName = name();
    const { opened, open } = gate();
    platform.builders.behave = async (number) => {
      await opened;
      return { module: `export default (request, response) => response.end("${number}");` };
    };
    const { job } = await platform.deploy(tenant, functionName);
    const runs: Promise<void>[] = [];
    for (let at = 0; at < 5; at++) {
      await platform.system.requeueBuilds([]);
      runs.push(platform.run(job));
      await expect.poll(async () => (await row(job)).epoch).toBe(at + 1);
    }
    open();
    await Promise.allSettled(runs);
    expect(await row(job)).toMatchObject({ state: "succeeded" });
    expect(await ends(job)).toHaveLength(1);
    const { imageDigest, layerDiffId } = await version(functionName);
    const image = await platform.images.readBlob(tenant, imageDigest!).toArray();
    expect(Buffer.concat(image).toString()).toContain(layerDiffId);
  });
});

describe("a worker that dies", () => {
  /** A process that takes the build and is killed with it in hand. */
  async function killWithJob(job: BuildJob): Promise<void> {
    const module = (file: string) =>
      JSON.stringify(pathToFileURL(path.resolve(import.meta.dirname, "../../../control-plane/src", file)).href);
    const script = `import { createPool } from ${module("db/pools.ts")}; import { createSystemDatabase } from ${module("db/system-database.ts")};
      console.log(JSON.stringify(await createSystemDatabase(createPool(process.env.SYSTEM, console.error)).takeNextBuild(4, [])));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, SYSTEM: postgres.url("system") },
    });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    const said = await new Promise<Buffer>((resolve) => child.stdout.once("data", resolve));
    expect(JSON.parse(said.toString())).toEqual(job);
    child.kill("SIGKILL");
    await ended;
  }

  test("is replaced at once by the next control plane", async () => {
    const { job } = await platform.deploy(tenant, name());
    await killWithJob(job);
    expect(await row(job)).toMatchObject({ state: "running", epoch: 1 });
    await takingBuilds();
    await expect.poll(async () => (await row(job)).state, { timeout: 20_000, interval: 50 }).toBe("succeeded");
    expect(await row(job)).toMatchObject({ epoch: 2, takeovers: 1 });
    expect(await ends(job)).toHaveLength(1);
  });

  test("after it recorded the image does not make the version become another one", async () => {
    const functionName = name();
    const { job, version: made } = await platform.deploy(tenant, functionName);
    await platform.run(job);
    const image = await version(functionName);
    const again = await platform.deploy(tenant, functionName);
    await platform.system.takeNextBuild(4, []);
    const taken = await platform.builds.taken(again.job);
    const { imageDigest, imageBytes, layerDiffId, baseDigest, entry } = image;
    const published = {
      imageDigest: imageDigest!,
      imageBytes: imageBytes!,
      layerDiffId: layerDiffId!,
      layerBytes: 1,
      baseDigest: baseDigest!,
      entry: entry!,
    };
    expect(await platform.builds.publish(again.job, taken!.build.epoch, again.version.id, published)).toBe(true);
    const builds = platform.builders.count();
    await platform.system.requeueBuilds([]);
    await platform.run(again.job);
    expect(platform.builders.count()).toBe(builds); // the second run used the recorded image and needed no builder
    expect(await row(again.job)).toMatchObject({ state: "succeeded", epoch: 2 });
    expect(await version(functionName)).toMatchObject({ id: again.version.id, imageDigest });
    expect(again.version.id).not.toBe(made.id);
  });

  test("again and again with the same build: the build ends, with a reason", async () => {
    const { job } = await platform.deploy(tenant, name());
    for (let life = 0; life <= MOST_TAKEOVERS; life++) {
      await platform.system.takeNextBuild(4, []);
      await platform.system.requeueBuilds([]);
    }
    const builds = platform.builders.count();
    await platform.run(job);
    expect(platform.builders.count()).toBe(builds);
    expect(await row(job)).toMatchObject({ state: "failed", problem: { code: "BUILD_FAILED", requestId: "request-of-the-deploy" } });
    expect(await ends(job)).toHaveLength(1);
  });
});
