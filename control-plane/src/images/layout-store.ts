// ImageStore as OCI image layouts on disk, one per repository (image-spec, image-layout.md). A repository is a tenant, or `base`.
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DigestMeter, sha256 } from "../service/digest.ts";
import { createKeyedMutex } from "../service/keyed-mutex.ts";
import { removeOlder, touch } from "../service/remove-older.ts";
import { PlatformError } from "../contract/errors.ts";
import type { ArtifactStore } from "./artifact.ts";
import { createLayoutArtifacts } from "./layout-artifacts.ts";
import {
  MEDIA,
  imageConfigSchema,
  indexSchema,
  manifestSchema,
  type Descriptor,
  type Encoded,
  type ImageConfig,
  type Index,
  type Manifest,
} from "./oci.ts";

const REF = "org.opencontainers.image.ref.name";
const nameOf = (entry: Descriptor): string | undefined => entry.annotations?.[REF];

export interface StoredImage {
  digest: string;
  manifest: Manifest;
  config: ImageConfig;
}
export interface ImageStore extends ArtifactStore {
  /** Stores a stream as a blob, and computes its digest while doing so. */
  putBlob(repository: string, mediaType: string, source: Readable): Promise<Descriptor>;
  /** Stores config and manifest and points `reference` at them. Every layer must be in the repository already. */
  putImage(repository: string, reference: string, image: { config: Encoded; manifest: Encoded }): Promise<void>;
  /** Makes a blob of one repository available in another one, without a copy. */
  mountBlob(from: string, to: string, digest: string): Promise<void>;
  /** `reference`: a name, or the digest of a manifest. */
  getImage(repository: string, reference: string): Promise<StoredImage>;
  readBlob(repository: string, digest: string): Readable;
  /** Size in bytes. Throws NOT_FOUND when the repository has no such blob. */
  blobSize(repository: string, digest: string): Promise<number>;
  removeReference(repository: string, reference: string): Promise<void>;
  /**
   * Removes references and blobs that nothing uses and that are untouched since `before`. `used` is called after the store was listed, so
   * that every listed image of a running deploy is already in its answer. Artifacts are removed together with their subject and not before.
   */
  sweep(repository: string, before: number, used: () => Promise<UsedImages>): Promise<number>;
}
export interface UsedImages {
  references: ReadonlySet<string>;
  /** Digests of manifests that are kept with everything they need, even if no reference points to them. */
  manifests: ReadonlySet<string>;
}

export function createLayoutStore(root: string): ImageStore {
  const folder = (repository: string) => path.join(root, repository);
  const blob = (repository: string, digest: string) => path.join(folder(repository), "blobs", ...digest.split(":"));
  const oneAtATime = createKeyedMutex();

  async function prepare(repository: string): Promise<void> {
    await mkdir(path.join(folder(repository), "blobs", "sha256"), { recursive: true });
    await replaceFile(path.join(folder(repository), "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  }

  async function readIndex(repository: string): Promise<Index> {
    const text = await readFile(path.join(folder(repository), "index.json"), "utf8").catch(() => undefined);
    return text === undefined ? { schemaVersion: 2, mediaType: MEDIA.index, manifests: [] } : indexSchema.parse(JSON.parse(text));
  }

  /** One writer at a time per repository: index.json is read, changed and replaced. */
  function changeIndex(repository: string, change: (manifests: Descriptor[]) => Descriptor[]): Promise<void> {
    return oneAtATime(repository, async () => {
      const index = await readIndex(repository);
      await replaceFile(path.join(folder(repository), "index.json"), JSON.stringify({ ...index, manifests: change(index.manifests) }));
    });
  }

  async function putBytes(repository: string, { bytes, descriptor }: Encoded): Promise<void> {
    await replaceFile(blob(repository, descriptor.digest), bytes);
  }
  const blobSize = (repository: string, digest: string): Promise<number> =>
    stat(blob(repository, digest)).then(
      ({ size }) => size,
      (cause: unknown) => Promise.reject(new PlatformError("NOT_FOUND", `No blob ${digest}.`, { cause })),
    );
  const artifacts = createLayoutArtifacts({
    entries: async (repository) => (await readIndex(repository)).manifests,
    changeEntries: changeIndex,
    putBytes,
    readDocument: (repository, digest) => readDocument(blob(repository, digest), digest),
    size: blobSize,
    nameOf,
  });

  return {
    ...artifacts.store,
    async putBlob(repository, mediaType, source) {
      await prepare(repository);
      const draft = path.join(folder(repository), "blobs", `draft-${randomUUID()}`);
      const meter = new DigestMeter();
      try {
        await pipeline(source, meter.through(), createWriteStream(draft, { flush: true })); // flushed to disk before any name refers to it
        const digest = meter.digest();
        await rename(draft, blob(repository, digest));
        return { mediaType, digest, size: meter.bytes };
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
    async putImage(repository, reference, image) {
      await prepare(repository);
      await putBytes(repository, image.config);
      await putBytes(repository, image.manifest);
      const entry = { ...image.manifest.descriptor, annotations: { [REF]: reference } };
      await changeIndex(repository, (manifests) => [...manifests.filter((old) => nameOf(old) !== reference), entry]);
    },
    async mountBlob(from, to, digest) {
      await prepare(to);
      // Linked under a second name first: linking changes the inode's ctime even if the blob exists in `to` already, so a sweep sees that
      // it is used.
      const draft = path.join(folder(to), "blobs", `draft-${randomUUID()}`);
      await link(blob(from, digest), draft);
      await rename(draft, blob(to, digest));
      await rm(draft, { force: true }); // rename(2) does nothing between two names of one file
    },
    async getImage(repository, reference) {
      const entry = (await readIndex(repository)).manifests.find((one) => nameOf(one) === reference || one.digest === reference);
      if (entry === undefined) throw new PlatformError("NOT_FOUND", `No image ${reference}.`);
      const manifest = manifestSchema.parse(await readDocument(blob(repository, entry.digest), entry.digest));
      const config = imageConfigSchema.parse(await readDocument(blob(repository, manifest.config.digest), manifest.config.digest));
      return { digest: entry.digest, manifest, config };
    },
    readBlob: (repository, digest) => Readable.from(readLater(blob(repository, digest)), { objectMode: false }),
    blobSize,
    removeReference: (repository, reference) =>
      changeIndex(repository, (manifests) => manifests.filter((old) => nameOf(old) !== reference)),
    async sweep(repository, before, used) {
      const seen = (await readIndex(repository)).manifests;
      const names = new Set(seen.map(nameOf));
      const { references, manifests } = await used();
      const isUnused = (name: string) => names.has(name) && !references.has(name);
      const named = (await readIndex(repository)).manifests.filter((entry) => nameOf(entry) !== undefined && !isUnused(nameOf(entry)!));
      const living = await artifacts.living(repository, [...manifests, ...named.map(({ digest }) => digest)]);
      // Entries without a name are artifacts, which enter the index after their subject: an entry that `seen` lacks is newer than this
      // sweep and stays.
      const dead = new Set(seen.filter((entry) => nameOf(entry) === undefined && !living.has(entry.digest)).map(({ digest }) => digest));
      const goes = (entry: Descriptor) => (nameOf(entry) === undefined ? dead.has(entry.digest) : isUnused(nameOf(entry)!));
      if (seen.some(goes)) await changeIndex(repository, (all) => all.filter((entry) => !goes(entry)));
      const roots = [...manifests, ...(await readIndex(repository)).manifests.map(({ digest }) => digest)];
      const kept = await reachable((digest) => blob(repository, digest), roots);
      const blobs = path.join(folder(repository), "blobs");
      const drafts = await removeOlder(blobs, before, (name) => name.startsWith("draft-"));
      return drafts + (await removeOlder(path.join(blobs, "sha256"), before, (name) => !kept.has(`sha256:${name}`)));
    },
  };
}

/** Reads a JSON blob, and throws when its bytes no longer match the digest in its name. */
async function readDocument(file: string, digest: string): Promise<unknown> {
  const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT" ? new PlatformError("NOT_FOUND", `No blob ${digest}.`, { cause }) : cause;
  });
  if (sha256(bytes) !== digest) throw new PlatformError("INTERNAL", `The stored blob ${digest} has other bytes.`);
  return JSON.parse(bytes.toString("utf8"));
}

/** All blobs that the manifests need. An unreadable manifest fails the sweep: it is better to keep too much than to remove a used blob. */
async function reachable(place: (digest: string) => string, manifests: readonly string[]): Promise<Set<string>> {
  const kept = new Set<string>();
  for (const digest of manifests) {
    const { config, layers } = manifestSchema.parse(await readDocument(place(digest), digest));
    for (const needed of [digest, config.digest, ...layers.map((layer) => layer.digest)]) kept.add(needed);
  }
  return kept;
}

/** Opens the file only when it is read: a stream that fails before it has an error listener ends the process. */
async function* readLater(file: string): AsyncGenerator<Buffer> {
  yield* createReadStream(file) as AsyncIterable<Buffer>;
}

/** Replaces the file atomically. */
async function replaceFile(file: string, content: string | Uint8Array): Promise<void> {
  const known = await stat(file).catch(() => undefined);
  if (known !== undefined && file.includes("/blobs/")) return touch(file); // content-addressed, so it has the same bytes already
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, content, { flush: true });
  await rename(draft, file);
}
