// What every ImageStore must do, wherever it keeps images. Each store's test runs this suite with a harness of its own.
import { randomBytes, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { artifacts } from "./artifact-conformance.ts";
import type { ImageStore } from "./layout-store.ts";
import { MEDIA, baseImage, versionImage } from "./oci.ts";
import { sha256 } from "../service/digest.ts";

export interface StoreHarness {
  store: ImageStore;
  /** A second store over the same place, as another process would open it. */
  reopen(): ImageStore;
  close(): Promise<void>;
}
export interface StoreTraits {
  /** The registry can delete manifests but no tags: a name stays as long as another name of the same image does. */
  removesDigestsOnly?: boolean;
}
/** Larger than one chunk of an upload. */
const LARGE_BYTES = 40 * 1024 * 1024;
const PROCESS = { args: ["/bin/true"], env: ["A=b"], cwd: "/" };

export function describeStore(name: string, makeHarness: () => Promise<StoreHarness>, traits: StoreTraits = {}): void {
  describe(`${name} store`, () => {
    let harness: StoreHarness;
    beforeAll(async () => void (harness = await makeHarness()));
    afterAll(() => harness.close());
    blobs(() => harness);
    images(() => harness);
    removal(() => harness, traits);
    artifacts(() => harness);
  });
}
const read = async (stream: Readable): Promise<Buffer> => Buffer.concat(await stream.toArray());
const repository = () => `t-${randomUUID()}`;

async function put(store: ImageStore, name: string, reference: string, code = randomBytes(100)) {
  const layer = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(1000)]));
  const base = baseImage({ layer, process: PROCESS });
  await store.putImage(name, "base", base);
  const own = await store.putBlob(name, MEDIA.layer, Readable.from([code]));
  const image = versionImage(await store.getImage(name, "base"), own, { "dev.fnctl.runtime": "node24" });
  await store.putImage(name, reference, image);
  return { image, own, base };
}

function blobs(current: () => StoreHarness): void {
  it.each([0, 1, 70_000, LARGE_BYTES])("keeps a blob of %i bytes under its digest, however often it comes", async (size) => {
    const { store, reopen } = current();
    const bytes = randomBytes(size);
    const name = repository();
    const descriptor = { mediaType: MEDIA.layer, digest: sha256(bytes), size };
    expect(await store.putBlob(name, MEDIA.layer, Readable.from([bytes]))).toEqual(descriptor);
    expect(await store.putBlob(name, MEDIA.layer, Readable.from([bytes]))).toEqual(descriptor);
    expect(await store.blobSize(name, descriptor.digest)).toBe(size);
    expect((await read(reopen().readBlob(name, descriptor.digest))).equals(bytes)).toBe(true);
  });

  it("keeps nothing of a stream that fails", async () => {
    const { store } = current();
    const name = repository();
    const half = Readable.from(
      (async function* () {
        yield Buffer.from("half");
        throw new Error("cut off");
      })(),
    );
    await expect(store.putBlob(name, MEDIA.layer, half)).rejects.toThrow("cut off");
    await expect(store.blobSize(name, sha256(Buffer.from("half")))).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("gives another repository's blob to nobody, until it is mounted", async () => {
    const { store } = current();
    const [mine, theirs] = [repository(), repository()];
    const { digest } = await store.putBlob(theirs, MEDIA.layer, Readable.from([randomBytes(10)]));
    await store.putBlob(mine, MEDIA.layer, Readable.from([randomBytes(10)]));
    await expect(store.blobSize(mine, digest)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(read(store.readBlob(mine, digest))).rejects.toThrow();
    await store.mountBlob(theirs, mine, digest);
    await store.mountBlob(theirs, mine, digest);
    expect(sha256(await read(store.readBlob(mine, digest)))).toBe(digest);
  });
}

function images(current: () => StoreHarness): void {
  it("gives an image back by its reference, with the digest of its manifest", async () => {
    const { store, reopen } = current();
    const name = repository();
    const { image, own } = await put(store, name, "hello.v1");
    const found = await reopen().getImage(name, "hello.v1");
    expect(found.digest).toBe(image.manifest.descriptor.digest);
    expect(found.manifest.layers[1]).toEqual(own);
    expect(found.config.config.Labels).toEqual({ "dev.fnctl.runtime": "node24" });
    expect(await reopen().getImage(name, found.digest)).toEqual(found);
  });

  it("moves a reference, and keeps the others", async () => {
    const { store } = current();
    const name = repository();
    await put(store, name, "hello.v1");
    const second = await put(store, name, "hello.v1");
    const other = await put(store, name, "other.v1");
    expect((await store.getImage(name, "hello.v1")).digest).toBe(second.image.manifest.descriptor.digest);
    expect((await store.getImage(name, "other.v1")).digest).toBe(other.image.manifest.descriptor.digest);
  });

  it("says that there is none", async () => {
    await expect(current().store.getImage(repository(), "nothing")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
}

function removal(current: () => StoreHarness, { removesDigestsOnly = false }: StoreTraits): void {
  it("removes a reference and not its namesakes of the same image", async () => {
    const { store } = current();
    const name = repository();
    const { image } = await put(store, name, "one");
    await store.putImage(name, "two", image);
    await store.removeReference(name, "one");
    if (removesDigestsOnly) expect((await store.getImage(name, "one")).digest).toBe(image.manifest.descriptor.digest);
    else await expect(store.getImage(name, "one")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await store.getImage(name, "two")).digest).toBe(image.manifest.descriptor.digest);
    await expect(store.removeReference(name, "one")).resolves.toBeUndefined();
  });

  it("sweeps references that nobody uses, not those that are used, nor young ones", async () => {
    const { store } = current();
    const name = repository();
    const [kept, gone] = [await put(store, name, "kept"), await put(store, name, "gone")];
    const used = async () => ({ references: new Set(["kept"]), manifests: new Set([kept.image.manifest.descriptor.digest]) });
    await store.sweep(name, Date.now() - 60_000, used);
    expect((await store.getImage(name, "kept")).digest).toBe(kept.image.manifest.descriptor.digest);
    await store.sweep(name, Date.now() + 60_000, used);
    await expect(store.getImage(name, "gone")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await store.getImage(name, "kept")).digest).toBe(kept.image.manifest.descriptor.digest);
    expect(gone.image.manifest.descriptor.digest).not.toBe(kept.image.manifest.descriptor.digest);
  });
}
