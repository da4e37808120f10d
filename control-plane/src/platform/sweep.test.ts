// Files of deleted functions and failed builds are removed after a grace period; files that are used, or that a running deploy may use,
// stay.
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSweep } from "./sweep.ts";
import { functionResource } from "../functions/resources.ts";
import { by, createBuildPlatform, type BuildPlatform } from "../../../deploy/test/src/build-platform.ts";
import { startTestPostgres, type TestPostgres } from "../../../deploy/test/src/test-postgres.ts";

let postgres: TestPostgres;
let platform: BuildPlatform;
let tenant: string;
const errors: unknown[] = [];
const logs = new Map<string, { tenantId: string; functionId: string }>();

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  platform = await createBuildPlatform(postgres);
});
beforeEach(async () => {
  tenant = await platform.tenant();
  platform.builders.behave = async () => ({ module: `export default (request, response) => response.end("${randomUUID()}");` });
});
afterAll(async () => {
  await platform.close();
  await postgres.stop();
});

/** A `before` for the sweep at which the grace period of all existing files is over. */
const graceOver = () => Date.now() + 1_000;
async function sweep(before = graceOver()): Promise<void> {
  const sweeper = createSweep({
    ...platform,
    tenantIds: platform.system.tenantIds,
    logs: { owners: async () => [...logs.values()], remove: async (_tenant, functionId) => void logs.delete(functionId) },
    onError: (error) => errors.push(error),
  });
  await sweeper.turn(before);
  expect(errors.splice(0)).toEqual([]);
}
const name = () => `f-${randomBytes(4).toString("hex")}`;
async function deployed(functionName = name()) {
  const made = await platform.deploy(tenant, functionName);
  await platform.run(made.job);
  return made;
}
async function failed(functionName = name()) {
  platform.builders.behave = async () => ({ module: `throw new Error("${randomUUID()}");` }); // is built and published, but does not load
  return deployed(functionName);
}
const list = (...parts: string[]) => readdir(path.join(platform.folder, ...parts)).catch(() => []);
/** Counts the tenant's image blobs, unpacked layers and references. */
const stored = async () => ({
  blobs: (await list("images", tenant, "blobs/sha256")).length,
  layers: (await list("layers", tenant)).length,
  references: (JSON.parse(await index()) as { manifests: unknown[] }).manifests.length,
});
const index = () => readFile(path.join(platform.folder, "images", tenant, "index.json"), "utf8");
/** One image: manifest, config, base layer, code layer. */
const ONE = { blobs: 4, layers: 1, references: 1 };

describe("the sweep", () => {
  test("keeps all that a version needs that is ready, live or not, however old", async () => {
    const { owner, sourceDigest } = await deployed();
    await deployed(owner.name);
    const before = await stored();
    expect(before).toEqual({ blobs: 7, layers: 2, references: 2 }); // both images share the base layer
    await sweep();
    expect(await stored()).toEqual(before);
    expect(await platform.blobs.has(by(tenant), sourceDigest)).toBe(true);
    await platform.layers.ensure(tenant, (await platform.functions.get(tenant, owner.name)).live!.layerDiffId!);
  });

  test("removes what a deleted function had, and nothing of the others", async () => {
    const [gone, kept] = [await deployed(), await deployed()];
    await platform.functions.remove(by(tenant), gone.owner.name);
    await sweep();
    expect(await stored()).toEqual(ONE);
    expect(await platform.blobs.has(by(tenant), gone.sourceDigest)).toBe(false);
    expect(await platform.blobs.has(by(tenant), kept.sourceDigest)).toBe(true);
    expect((await platform.images.getImage(tenant, `${kept.owner.name}-v1`)).digest).toBe(
      (await platform.functions.get(tenant, kept.owner.name)).live?.imageDigest,
    );
  });

  test("removes what a failed build had, its source too; the row that tells why stays", async () => {
    const kept = await deployed();
    const bad = await failed();
    expect(await stored()).not.toEqual(ONE);
    await sweep();
    expect(await stored()).toEqual(ONE);
    expect(await platform.blobs.has(by(tenant), bad.sourceDigest)).toBe(false);
    expect(await platform.blobs.has(by(tenant), kept.sourceDigest)).toBe(true);
    expect(await platform.builds.get(bad.job)).toMatchObject({ state: "failed", problem: { code: "INIT_FAILED" } });
  });

  test("keeps what is shared by a function that is gone and one that is not", async () => {
    platform.builders.behave = async () => ({ module: "export default (request, response) => response.end('same');" });
    const [gone, kept] = [await deployed(), await deployed()];
    await platform.functions.remove(by(tenant), gone.owner.name);
    await sweep();
    expect(await stored()).toEqual(ONE);
    await platform.layers.ensure(tenant, (await platform.functions.get(tenant, kept.owner.name)).live!.layerDiffId!);
  });

  test("touches nothing within the grace period", async () => {
    const { owner } = await deployed();
    await platform.functions.remove(by(tenant), owner.name);
    const before = { ...(await stored()), references: 0 }; // references are removed at once
    await sweep(Date.now() - 60_000);
    expect(await stored()).toEqual(before);
  });

  test("removes what a crash left half made", async () => {
    await deployed();
    await mkdir(path.join(platform.folder, "layers", tenant, `draft-${randomUUID()}/function`), { recursive: true });
    const files = [
      `images/${tenant}/blobs/draft-${randomUUID()}`,
      `images/${tenant}/blobs/sha256/0.${randomUUID()}`,
      `spool/upload-${randomUUID()}`,
    ];
    for (const file of files) await writeFile(path.join(platform.folder, file), "half");
    await sweep();
    expect(await stored()).toEqual(ONE);
    for (const file of files) expect(existsSync(path.join(platform.folder, file)), file).toBe(false);
  });

  test("leaves another tenant's same bytes alone, and the base images", async () => {
    platform.builders.behave = async () => ({ module: "export default (request, response) => response.end('everybody');" });
    const functionName = name();
    const mine = await deployed(functionName);
    const first = tenant;
    tenant = await platform.tenant();
    const theirs = await deployed(functionName);
    expect(theirs.sourceDigest).toBe(mine.sourceDigest);
    await platform.functions.remove(by(tenant), functionName);
    await sweep();
    expect(await stored()).toEqual({ blobs: 0, layers: 0, references: 0 });
    tenant = first;
    expect(await stored()).toEqual(ONE);
    expect(await platform.blobs.has(by(first), mine.sourceDigest)).toBe(true);
    expect((await platform.images.getImage("base", "node24")).manifest.layers).toHaveLength(1);
  });

  test("removes the logs that a function's last instances wrote after it was deleted", async () => {
    const kept = await deployed();
    const here = { tenantId: tenant, functionId: kept.owner.id };
    const gone = { tenantId: tenant, functionId: randomUUID() };
    for (const owner of [here, gone]) logs.set(owner.functionId, owner);
    await sweep();
    expect([...logs.values()]).toEqual([here]);
  });

  test("what fails for one tenant fails for no other", async () => {
    const broken = tenant;
    await deployed();
    await writeFile(path.join(platform.folder, "images", broken, "index.json"), "{");
    tenant = await platform.tenant();
    const { owner } = await deployed();
    await platform.functions.remove(by(tenant), owner.name);
    const before = graceOver();
    await expect(sweep(before)).rejects.toThrow();
    expect(await stored()).toEqual({ blobs: 0, layers: 0, references: 0 });
    tenant = broken;
    expect((await list("images", tenant, "blobs/sha256")).length).toBe(4); // in doubt nothing is removed
    await writeFile(path.join(platform.folder, "images", broken, "index.json"), '{"schemaVersion":2,"manifests":[]}');
  });
});

describe("a deploy in flight", () => {
  test("whose source was unused for long, and is now counted on, does not lose it", async () => {
    const { owner, sourceDigest } = await deployed();
    await platform.functions.remove(by(tenant), owner.name);
    const before = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await platform.blobs.has(by(tenant), sourceDigest)).toBe(true); // the CLI asks this before it uploads
    await sweep(before);
    const again = await platform.deploy(tenant, owner.name);
    await sweep(); // a source that is being built counts as used, whatever its age
    expect(await platform.blobs.has(by(tenant), sourceDigest)).toBe(true);
    await platform.run(again.job);
    expect(await platform.builds.get(again.job)).toMatchObject({ state: "succeeded" });
  });

  test("that makes bytes again which were unused for long does not lose them", async () => {
    platform.builders.behave = async () => ({ module: "export default (request, response) => response.end('again');" });
    const { owner } = await deployed();
    await platform.functions.remove(by(tenant), owner.name);
    const before = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await deployed(owner.name);
    await sweep(before);
    expect(await stored()).toEqual(ONE);
  });

  test("many, with the sweep between all their steps, all succeed and serve", async () => {
    let done = false;
    const sweeping = (async () => {
      while (!done) await sweep(Date.now() - 5_000);
    })();
    const deploys = await Promise.all(Array.from({ length: 6 }, () => deployed()));
    done = true;
    await sweeping;
    for (const { job, owner } of deploys) {
      expect(await platform.builds.get(job)).toMatchObject({ state: "succeeded" });
      expect((await platform.images.getImage(tenant, `${owner.name}-v1`)).manifest.layers).toHaveLength(2);
    }
  });
});

test("a function whose first deploy failed is listed with that state, and is gone when it is removed", async () => {
  const endpoint = { domain: "localhost", publicUrl: "http://localhost:8080" };
  const states = async () =>
    (await platform.functions.list(tenant, undefined, 10)).map((facts) => functionResource(facts, "acme", endpoint).state);
  const functionName = name();
  const building = await platform.deploy(tenant, functionName);
  expect(await states()).toEqual(["building"]);
  platform.builders.behave = async () => ({ failed: "no" });
  await platform.run(building.job);
  expect(await states()).toEqual(["build-failed"]);
  platform.builders.behave = async () => ({ module: "export default (request, response) => response.end('ok');" });
  await deployed(functionName);
  expect(await states()).toEqual(["live"]);
  await failed(functionName);
  expect(await states()).toEqual(["live"]); // the version that served before still does
  await platform.functions.remove(by(tenant), functionName);
  expect(await states()).toEqual([]);
});
