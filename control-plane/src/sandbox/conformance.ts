// What every SandboxDriver must do, whatever its isolation technology. Each driver's test runs this suite with a harness of its own.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROTOCOL_PATHS } from "../contract/runtime-protocol.ts";
import { askHealth } from "../sandbox-client/health.ts";
import { newInstanceId } from "../service/uuid7.ts";
import { sandboxSchema, type ImageRef, type Sandbox, type SandboxDriver, type SandboxSpec } from "./driver.ts";
import { ask, init } from "./testing/ask.ts";
import { STUBBORN, type Stubborn } from "./testing/conformance-function.ts";

export interface DriverHarness {
  /** The driver object in use, which `reopen` may have replaced. */
  driver: SandboxDriver;
  /**
   * Spec of a generic sandbox with an existing base. `tenantId` is for drivers that need a tenant; without it they always get the same
   * tenant.
   */
  spec(tenantId?: string): SandboxSpec;
  /** Places a layer where the driver looks for it; its `index.mjs` answers `/` with `text`. */
  place(text: string, tenantId?: string): Promise<ImageRef>;
  /** Makes the process of a loaded, initialised instance end by itself. */
  crash(instance: Sandbox): Promise<void>;
  /** Makes the instance use more memory than its limit; or the reason why this driver has no such limit. */
  exhaustMemory: ((instance: Sandbox) => Promise<void>) | string;
  /** Makes the instance ignore requests to end from now on; or the reason why this driver has no such instances. */
  makeStubborn: ((instance: Sandbox, how: Stubborn) => Promise<void>) | string;
  /**
   * Leaves the remains of a driver that was killed in the middle of a start, and returns the sandbox's id; or the reason why this driver
   * leaves none.
   */
  abandonStart: (() => Promise<string>) | string;
  /** Makes a second driver object over the same paths, as after a restart. */
  reopen(): Promise<SandboxDriver>;
  /** Descriptions of everything that is left of a sandbox on the host. */
  leftovers(id: string): Promise<string[]>;
  close(): Promise<void>;
}
/** How many sandboxes are started and stopped at once. */
const CROWD = 20;
/** How many times, and how far apart, the test checks whether a stopped sandbox is gone. */
const LOOKS = { count: 100, pauseMs: 100 };

/** `missing`: why the driver cannot run on this machine; the suite is then skipped under that reason. */
export function describeDriver(name: string, missing: string | undefined, makeHarness: () => Promise<DriverHarness>): void {
  describe.skipIf(missing !== undefined)(`${name} driver${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
    let harness: DriverHarness;
    beforeAll(async () => void (harness = await makeHarness()));
    afterAll(() => harness.close());
    const current = () => harness;
    describeStart(current);
    describeLoad(current);
    describeEnds(current);
    describeRestart(current);
    describeCrowd(current);
  });
}
type Current = () => DriverHarness;

async function ready(harness: DriverHarness, text = "hello", tenantId?: string): Promise<{ instance: Sandbox; image: ImageRef }> {
  const [started, image] = await Promise.all([harness.driver.start(harness.spec(tenantId)), harness.place(text, tenantId)]);
  const instance = await harness.driver.load(started.id, image);
  expect(await init(instance, image)).toMatchObject({ status: 200 });
  return { instance, image };
}
const listed = async (driver: SandboxDriver, id: string) => (await driver.list()).find((instance) => instance.id === id);

async function untilEnded(driver: SandboxDriver, id: string): Promise<Sandbox> {
  for (;;) {
    const instance = await listed(driver, id);
    if (instance?.state === "ended") return instance;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function describeStart(current: Current): void {
  it("starts an idle sandbox that answers health on its address, and starts none twice", async () => {
    const { driver, spec, leftovers } = current();
    const asked = spec();
    const [first, second] = await Promise.all([driver.start(asked), driver.start(asked)]);
    expect(sandboxSchema.parse(first)).toMatchObject({ ...asked, state: "idle" });
    expect(second).toEqual(first);
    expect(await driver.start(asked)).toEqual(first);
    expect((await driver.list()).filter((instance) => instance.id === asked.id)).toEqual([first]);
    const health = await ask(first, PROTOCOL_PATHS.health);
    expect(JSON.parse(health.text)).toEqual({ state: "idle", runtime: "node24", protocol: 1 });
    await driver.stop(asked.id);
    expect(await listed(driver, asked.id)).toBeUndefined();
    expect(await leftovers(asked.id)).toEqual([]);
    await expect(ask(first, PROTOCOL_PATHS.health)).rejects.toThrow();
  });

  it("refuses an isolation that it does not have, says what to do, and starts nothing", async () => {
    const { driver, spec, leftovers } = current();
    const asked = { ...spec(), isolation: "kata" as const };
    await expect(driver.start(asked)).rejects.toMatchObject({ code: "ISOLATION_UNAVAILABLE", hint: expect.stringMatching(/\w{5}/) });
    expect(driver.isolations).not.toContain("kata");
    expect(await listed(driver, asked.id)).toBeUndefined();
    expect(await leftovers(asked.id)).toEqual([]);
  });

  it("refuses a base that is not there", async () => {
    const { driver, spec, leftovers } = current();
    const asked = { ...spec(), base: `sha256:${"0".repeat(64)}` };
    await expect(driver.start(asked)).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
    expect(await listed(driver, asked.id)).toBeUndefined();
    expect(await leftovers(asked.id)).toEqual([]);
  });
}

function describeLoad(current: Current): void {
  it("loads a version's code once and for life", async () => {
    const { driver, spec, place } = current();
    const [started, image, other] = await Promise.all([driver.start(spec()), place("one"), place("two")]);
    await expect(driver.load(started.id, { ...image, layer: `sha256:${"0".repeat(64)}` })).rejects.toMatchObject({
      code: "SANDBOX_FAILED",
    });
    expect(await listed(driver, started.id)).toMatchObject({ state: "idle" });
    const loaded = await driver.load(started.id, image);
    expect(loaded).toMatchObject({ id: started.id, state: "loaded", image, address: started.address });
    expect(await driver.load(started.id, image)).toEqual(loaded);
    for (const another of [other, { ...image, version: 2 }, { ...image, tenantId: randomUUID() }, { ...image, configHash: "f".repeat(64) }])
      await expect(driver.load(started.id, another)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await init(loaded, image)).toMatchObject({ status: 200 });
    expect(await ask(loaded, "/")).toEqual({ status: 200, text: "one" });
    expect(await listed(driver, started.id)).toMatchObject({ state: "loaded", image });
    await driver.stop(started.id);
  });

  it("begins a load that settles while something else goes on, and lends the connection by which the code came", async () => {
    const { driver, spec, place } = current();
    const [started, image, other] = await Promise.all([driver.start(spec()), place("begun"), place("other")]);
    const { sandbox: instance, settled } = await driver.beginLoad(started.id, image);
    expect(instance).toMatchObject({ id: started.id, state: "loaded", image });
    const link = driver.takeConnection(started.id);
    expect(driver.takeConnection(started.id)).toBeUndefined(); // it can be taken only once
    if (link !== undefined) expect(await askHealth(link)).toMatchObject({ code: image.layer });
    await link?.destroy();
    await settled;
    expect(await listed(driver, started.id)).toMatchObject({ state: "loaded", image });
    await (
      await driver.beginLoad(started.id, image)
    ).settled;
    await expect(driver.beginLoad(started.id, other)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await init(instance, image)).toMatchObject({ status: 200 });
    expect(await ask(instance, "/")).toEqual({ status: 200, text: "begun" });
    await driver.stop(started.id);
  });

  it("knows no sandbox that it did not start", async () => {
    const { driver, place } = current();
    await expect(driver.load(newInstanceId(), await place("x"))).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(driver.stop(newInstanceId())).resolves.toBeUndefined();
  });

  it("stops all of a tenant, and nothing of another", async () => {
    const { driver } = current();
    const [mine, theirs] = await Promise.all([ready(current(), "mine", randomUUID()), ready(current(), "theirs", randomUUID())]);
    await driver.removeTenant(mine.image.tenantId);
    expect(await listed(driver, mine.instance.id)).toBeUndefined();
    expect(await ask(theirs.instance, "/")).toMatchObject({ status: 200 });
    await driver.stop(theirs.instance.id);
  });
}

function describeEnds(current: Current): void {
  it("says that a process ended by itself, until it is stopped", async () => {
    const { driver, crash, leftovers, place } = current();
    const { instance } = await ready(current());
    await crash(instance);
    expect((await untilEnded(driver, instance.id)).ended).toMatchObject({ reason: "exited" });
    await expect(driver.load(instance.id, await place("again"))).rejects.toMatchObject({ code: expect.stringMatching(/CRASHED|CONFLICT/) });
    await driver.stop(instance.id);
    await driver.stop(instance.id);
    expect(await listed(driver, instance.id)).toBeUndefined();
    expect(await leftovers(instance.id)).toEqual([]);
  });

  it("says that memory ran out, and a neighbour does not notice", async (context) => {
    const { driver, exhaustMemory, leftovers } = current();
    if (typeof exhaustMemory === "string") return context.skip(exhaustMemory);
    const [{ instance }, neighbour] = await Promise.all([ready(current()), ready(current())]);
    await exhaustMemory(instance);
    expect((await untilEnded(driver, instance.id)).ended).toMatchObject({ reason: "oom" });
    expect(await ask(neighbour.instance, "/")).toMatchObject({ status: 200 });
    await Promise.all([driver.stop(instance.id), driver.stop(neighbour.instance.id)]);
    expect(await leftovers(instance.id)).toEqual([]);
  });

  it.for(Object.keys(STUBBORN) as Stubborn[])("ends a function that %s when it is stopped, within some looks", async (how, context) => {
    const { driver, makeStubborn, leftovers } = current();
    if (typeof makeStubborn === "string") return context.skip(makeStubborn);
    const { instance } = await ready(current());
    await makeStubborn(instance, how);
    const stopped = driver.stop(instance.id);
    let left = await leftovers(instance.id);
    for (let looked = 1; left.length > 0 && looked < LOOKS.count; looked++) {
      await new Promise((resolve) => setTimeout(resolve, LOOKS.pauseMs));
      left = await leftovers(instance.id);
    }
    expect(left).toEqual([]);
    await stopped;
    expect(await listed(driver, instance.id)).toBeUndefined();
  });
}

function describeRestart(current: Current): void {
  it("adopts what runs after a restart, and goes on with it", async () => {
    const { driver, spec, reopen, place, leftovers } = current();
    const [{ instance, image }, idle] = await Promise.all([ready(current(), "still here"), driver.start(spec())]);
    const again = (current().driver = await reopen()); // the first one's picture is stale from here on
    expect(await listed(again, instance.id)).toEqual(instance);
    expect(await listed(again, idle.id)).toEqual(idle);
    expect(await ask(instance, "/")).toEqual({ status: 200, text: "still here" });
    expect(await again.load(instance.id, image)).toEqual(instance);
    const late = await place("loaded by the second");
    const loaded = await again.load(idle.id, late);
    expect(await init(loaded, late)).toMatchObject({ status: 200 });
    expect(await ask(loaded, "/")).toMatchObject({ text: "loaded by the second" });
    await Promise.all([again.stop(instance.id), again.stop(idle.id)]);
    expect([...(await leftovers(instance.id)), ...(await leftovers(idle.id))]).toEqual([]);
  });

  it("removes what a killed driver left half made", async (context) => {
    const { abandonStart, reopen, leftovers } = current();
    if (typeof abandonStart === "string") return context.skip(abandonStart);
    const id = await abandonStart();
    expect(await leftovers(id)).not.toEqual([]);
    const again = (current().driver = await reopen()); // the first one's picture is stale from here on
    // The remains go after a while: a driver that takes over does not wait for ends that a node takes seconds to confirm.
    const soon = { timeout: 30_000, interval: 50 };
    await expect.poll(() => listed(again, id), soon).toBeUndefined();
    await expect.poll(() => leftovers(id), soon).toEqual([]);
  });
}

function describeCrowd(current: Current): void {
  it(`leaves nothing of ${CROWD} that start and stop at once`, async () => {
    const { driver, spec, leftovers } = current();
    const specs = Array.from({ length: CROWD }, () => spec());
    await Promise.all(
      specs.map(async (asked, index) => {
        const started = driver.start(asked);
        if (index % 4 === 0) await Promise.all([started.catch(() => undefined), driver.stop(asked.id)]); // stop it while it starts
        else expect(await ask(await started, PROTOCOL_PATHS.health)).toMatchObject({ status: 200 });
        await driver.stop(asked.id);
      }),
    );
    expect(await driver.list()).toEqual([]);
    expect((await Promise.all(specs.map(({ id }) => leftovers(id)))).flat()).toEqual([]);
  });
}
