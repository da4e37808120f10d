// The build row is the truth (SECURITY F10, Q2, Q3): on a real Postgres with a real queue, each build comes to one end with its reason.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BuildJob } from "@fnctl/control-plane/builds/build-store";
import { createBuildQueue, type BuildQueue } from "@fnctl/control-plane/builds/queue";
import { MOST_TAKEOVERS, MOST_WAIT_MS } from "@fnctl/control-plane/builds/worker";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { BuildEvent } from "@fnctl/control-plane/contract/resources";
import { createBuildPlatform, type BuildPlatform, type Builder } from "../src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

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
async function queue(work: (job: BuildJob) => Promise<void>): Promise<BuildQueue> {
  const made = await createBuildQueue({ connection: postgres.url("jobs"), work, onError: (error) => void platform.errors.push(error) });
  queues.push(made);
  return made;
}
async function admin(text: string, values: unknown[]): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.admin });
  await client.connect();
  await client.query(text, values);
  await client.end();
}
/** Something to wait for, and the way to end the waiting. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("a build", () => {
  test("goes from its row through the queue to a version that serves, with numbered events and one end", async () => {
    const worker = platform.worker();
    const own = await queue((job) => worker.run(job));
    await own.run();
    const deployed = await platform.deploy(tenant, name());
    await Promise.all(Array.from({ length: 5 }, () => own.enqueue(deployed.job))); // told five times, done once
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
    await platform.worker().run(first.job);
    platform.builders.behave = behave;
    const { job } = await platform.deploy(tenant, functionName, "request-0123456789");
    await platform.worker().run(job);
    await platform.worker().run(job); // the queue may tell it again
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
    const running = platform.worker().run(job);
    await expect.poll(() => row(job).then(({ state }) => state)).toBe("running");
    await platform.functions.remove(tenant, functionName);
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
    await expect(platform.worker(away).run(job)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await row(job)).toMatchObject({ state: "queued", takeovers: 0, problem: null });
    expect(await ends(job)).toEqual([]);
    await platform.worker().run(job);
    expect(await row(job)).toMatchObject({ state: "succeeded", takeovers: 0, epoch: 2 });
  });

  test("but not for ever: it fails with that reason", async () => {
    const { job } = await platform.deploy(tenant, name());
    await admin("UPDATE fnctl.build SET created_at = now() - $2 * interval '1 millisecond' WHERE id = $1", [job.buildId, MOST_WAIT_MS]);
    await platform.worker(away).run(job);
    expect(await row(job)).toMatchObject({ state: "failed", problem: { code: "UNAVAILABLE", requestId: "request-of-the-deploy" } });
    expect(await ends(job)).toHaveLength(1);
  });
});

test("a build that the queue never heard of, or lost, is put back from its row", async () => {
  const { job } = await platform.deploy(tenant, name()); // the control plane died between the commit and the queue
  const worker = platform.worker();
  const next = await queue((taken) => worker.run(taken));
  const open = (await platform.system.openBuilds()).map(({ id, tenantId }) => ({ tenantId, buildId: id }));
  expect(open).toContainEqual(job);
  await next.takeOver(open);
  await next.run();
  await expect.poll(async () => (await row(job)).state, { timeout: 20_000 }).toBe("succeeded");
  expect((await platform.system.openBuilds()).map(({ id }) => id)).not.toContain(job.buildId);
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
    const old = platform.worker().run(job);
    await expect.poll(() => platform.builders.count() % 2).toBe(firstIsOdd);
    const next = platform.worker().run(job); // as after a restart: the old one is only paused
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
    platform.builders.behave = async (number) => ({ module: `export default (request, response) => response.end("${number}");` });
    const { job } = await platform.deploy(tenant, functionName);
    await Promise.allSettled(Array.from({ length: 5 }, () => platform.worker().run(job)));
    expect(await row(job)).toMatchObject({ state: "succeeded" });
    expect(await ends(job)).toHaveLength(1);
    const { imageDigest, layerDiffId } = await version(functionName);
    const image = await platform.images.readBlob(tenant, imageDigest!).toArray();
    expect(Buffer.concat(image).toString()).toContain(layerDiffId);
  });
});

describe("a worker that dies", () => {
  /** A process that takes the job and is killed with it in hand. */
  async function killWithJob(job: BuildJob): Promise<void> {
    const module = pathToFileURL(path.resolve(import.meta.dirname, "../../../control-plane/src/builds/queue.ts")).href;
    const script = `import { createBuildQueue } from ${JSON.stringify(module)};
      const queue = await createBuildQueue({ connection: process.env.JOBS, work: () => (console.log("taken"), new Promise(() => {})), onError: console.error });
      await queue.run();`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env: { ...process.env, JOBS: postgres.url("jobs") } });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    const sender = await queue(async () => undefined);
    await sender.enqueue(job);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await platform.builds.claim(job);
    child.kill("SIGKILL");
    await ended;
  }

  test("is replaced at once by the next control plane", async () => {
    const { job } = await platform.deploy(tenant, name());
    await killWithJob(job);
    const worker = platform.worker();
    const next = await queue((taken) => worker.run(taken));
    const begun = Date.now();
    await next.takeOver([job]);
    await next.run();
    await expect.poll(async () => (await row(job)).state, { timeout: 20_000, interval: 50 }).toBe("succeeded");
    expect(Date.now() - begun).toBeLessThan(10_000); // without it: the heartbeat's 10 s, the monitor's 5 s, and more
    expect(await ends(job)).toHaveLength(1);
  });

  test("is replaced by another one that runs, once its heartbeats are missed", async () => {
    const { job } = await platform.deploy(tenant, name());
    await killWithJob(job);
    const worker = platform.worker();
    await (await queue((taken) => worker.run(taken))).run();
    await expect.poll(async () => (await row(job)).state, { timeout: 50_000, interval: 250 }).toBe("succeeded");
    expect(await ends(job)).toHaveLength(1);
  });

  test("after it recorded the image does not make the version become another one", async () => {
    const functionName = name();
    const { job, version: made } = await platform.deploy(tenant, functionName);
    await platform.worker().run(job);
    const image = await version(functionName);
    const again = await platform.deploy(tenant, functionName);
    const claimed = await platform.builds.claim(again.job);
    const { imageDigest, imageBytes, layerDiffId, baseDigest, entry } = image;
    const published = {
      imageDigest: imageDigest!,
      imageBytes: imageBytes!,
      layerDiffId: layerDiffId!,
      layerBytes: 1,
      baseDigest: baseDigest!,
      entry: entry!,
    };
    expect(await platform.builds.publish(again.job, claimed!.build.epoch, again.version.id, published)).toBe(true);
    const builds = platform.builders.count();
    await platform.worker().run(again.job);
    expect(platform.builders.count()).toBe(builds); // taken up where it was left
    expect(await row(again.job)).toMatchObject({ state: "succeeded", epoch: 2 });
    expect(await version(functionName)).toMatchObject({ id: again.version.id, imageDigest });
    expect(again.version.id).not.toBe(made.id);
  });

  test("again and again with the same build: the build ends, with a reason", async () => {
    const { job } = await platform.deploy(tenant, name());
    for (let life = 0; life <= MOST_TAKEOVERS; life++) await platform.builds.claim(job);
    const builds = platform.builders.count();
    await platform.worker().run(job);
    expect(platform.builders.count()).toBe(builds);
    expect(await row(job)).toMatchObject({ state: "failed", problem: { code: "BUILD_FAILED", requestId: "request-of-the-deploy" } });
    expect(await ends(job)).toHaveLength(1);
  });
});
