// An unpacked layer is either complete or absent, and each tenant has its own copy.
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLayerCache, type LayerCache } from "./layer-cache.ts";
import { createLayoutStore, type ImageStore } from "./layout-store.ts";
import { archive, entry, file, folder } from "./testing/archives.ts";

let root: string;
let store: ImageStore;
let cache: LayerCache;
const [A, B] = [randomUUID(), randomUUID()];
const hex = (digest: string) => digest.slice("sha256:".length);
const layers = (...parts: string[]) => path.join(root, "layers", ...parts);
const good = (text = "data") => archive(folder("function/code"), file("function/code/index.js", text));
const read = (tenant: string, digest: string) => readFile(layers(tenant, hex(digest), "function/code/index.js"), "utf8");

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "fn-cache-"));
  store = createLayoutStore(path.join(root, "images"));
  cache = createLayerCache(layers(), store);
});
afterEach(() => rm(root, { recursive: true, force: true }));

test("a layer is stored under its diff_id and unpacked beside it", async () => {
  const { digest, size } = await cache.add(A, good());
  expect(await read(A, digest)).toBe("data");
  expect(size).toBeGreaterThan(512);
  expect(await readdir(layers(A))).toEqual([hex(digest)]);
});

test("a refused layer leaves nothing: neither a folder nor a blob", async () => {
  const hostile = archive(
    folder("function/code"),
    file("function/code/index.js"),
    entry({ name: "function/link", type: "2", linkname: "/etc" }),
  );
  await expect(cache.add(A, hostile)).rejects.toMatchObject({ code: "INVALID_ARCHIVE" });
  expect(await readdir(layers(A))).toEqual([]);
  expect(await readdir(path.join(root, "images", A, "blobs"))).toEqual(["sha256"]);
  expect(await readdir(path.join(root, "images", A, "blobs", "sha256"))).toEqual([]);
});

test("a layer is there whole or not at all: while it is unpacked, and when its source breaks off", async () => {
  const whole = Buffer.concat([folder("function/code"), file("function/code/a"), file("function/code/b", Buffer.alloc(5000))]);
  let release = () => {};
  const waits = new Promise<void>((resolve) => (release = resolve));
  const broken = Readable.from(
    (async function* () {
      yield whole.subarray(0, 3000);
      await waits;
      throw new Error("the builder died");
    })(),
  );
  const adding = cache.add(A, broken);
  await expect.poll(async () => (await readdir(layers(A)).catch(() => [])).length, { timeout: 5_000 }).toBe(1);
  expect((await readdir(layers(A)))[0]).toMatch(/^draft-/); // no digest names it yet
  release();
  await expect(adding).rejects.toMatchObject({ code: "INVALID_ARCHIVE" });
  expect(await readdir(layers(A))).toEqual([]);
});

test("the same layer added by many at once is one folder", async () => {
  const added = await Promise.all(Array.from({ length: 8 }, () => cache.add(A, good())));
  expect(new Set(added.map(({ digest }) => digest)).size).toBe(1);
  expect(await readdir(layers(A))).toEqual([hex(added[0]!.digest)]);
  expect(await read(A, added[0]!.digest)).toBe("data");
});

test("a tenant has its own copy: what one tenant stored is not there for another", async () => {
  const { digest } = await cache.add(A, good());
  await expect(cache.ensure(B, digest)).rejects.toMatchObject({ code: "ENOENT" });
  expect((await readdir(layers(B))).filter((name) => !name.startsWith("draft-"))).toEqual([]);
  await cache.add(B, good());
  await rm(layers(A), { recursive: true });
  expect(await read(B, digest)).toBe("data");
});

test("an emptied cache is filled from the image store, once for all who ask at the same time", async () => {
  const { digest } = await cache.add(A, good());
  await rm(layers(A), { recursive: true });
  let reads = 0;
  const counting: ImageStore = { ...store, readBlob: (...where) => (reads++, store.readBlob(...where)) };
  const again = createLayerCache(layers(), counting);
  await Promise.all(Array.from({ length: 8 }, () => again.ensure(A, digest)));
  await again.ensure(A, digest);
  expect(reads).toBe(1);
  expect(await read(A, digest)).toBe("data");
});

test("a stored layer whose bytes changed is never put in the place of the one that was asked for", async () => {
  const { digest } = await cache.add(A, good());
  await rm(layers(A), { recursive: true });
  const other = await cache.add(B, good("changed"));
  const blobs = path.join(root, "images");
  await writeFile(path.join(blobs, A, "blobs/sha256", hex(digest)), await readFile(path.join(blobs, B, "blobs/sha256", hex(other.digest))));
  await expect(cache.ensure(A, digest)).rejects.toMatchObject({ code: "INTERNAL" });
  expect(await readdir(layers(A))).not.toContain(hex(digest));
});
