// ImageStore over an OCI 1.1 registry. A repository of ours (a tenant, or `base`) is `<prefix>/<repository>` there. Blobs that nothing
// refers to are the registry's own garbage collection's business; it shows no times, so nothing here could judge their age.
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import type { ImageStore } from "../layout-store.ts";
import { MEDIA, imageConfigSchema, manifestSchema, sha256, type Descriptor, type Encoded } from "../oci.ts";
import { createRegistryClient, document, type RegistryOptions } from "./client.ts";
import { createReferences } from "./references.ts";
import { uploadBlob } from "./upload.ts";

export interface RegistryStoreOptions extends RegistryOptions {
  /** Folder for blobs on their way: their digest must be known before the registry is asked whether it has them. */
  spoolDir: string;
}

export function createRegistryStore(options: RegistryStoreOptions): ImageStore {
  const client = createRegistryClient(options);
  const references = createReferences(client);
  const at = client.path;

  async function has(repository: string, digest: string): Promise<number | undefined> {
    const answer = await client.call({
      method: "HEAD",
      to: `${at(repository)}/blobs/${digest}`,
      repository: at(repository),
      expect: [200, 404],
    });
    await answer.body.dump();
    return answer.statusCode === 200 ? Number(answer.headers["content-length"]) : undefined;
  }

  async function putFile(repository: string, file: string, descriptor: Descriptor): Promise<void> {
    if ((await has(repository, descriptor.digest)) === undefined) await uploadBlob(client, at(repository), { file, ...descriptor });
  }

  async function spool(source: Readable, file: string): Promise<{ digest: string; size: number }> {
    const hash = createHash("sha256");
    let size = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        size += chunk.length;
        done(null, chunk);
      },
    });
    await pipeline(source, meter, createWriteStream(file, { mode: 0o600 }));
    return { digest: `sha256:${hash.digest("hex")}`, size };
  }

  async function putBlob(repository: string, mediaType: string, source: Readable): Promise<Descriptor> {
    await mkdir(options.spoolDir, { recursive: true });
    const file = path.join(options.spoolDir, `blob-${randomUUID()}`);
    try {
      const descriptor = { mediaType, ...(await spool(source, file)) };
      await putFile(repository, file, descriptor);
      return descriptor;
    } finally {
      await rm(file, { force: true });
    }
  }

  /** A stream that fails at its end when its bytes are not what the digest promises. */
  async function* blobBytes(repository: string, digest: string): AsyncGenerator<Buffer> {
    const answer = await client.call({ method: "GET", to: `${at(repository)}/blobs/${digest}`, repository: at(repository), expect: [200] });
    const hash = createHash("sha256");
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      hash.update(chunk);
      yield chunk;
    }
    if (`sha256:${hash.digest("hex")}` !== digest) throw new PlatformError("INTERNAL", `The registry's blob ${digest} has other bytes.`);
  }

  async function readDocument(to: string, repository: string, digest: string | undefined, accept: string): Promise<Buffer> {
    const answer = await client.call({ method: "GET", to, repository, headers: { accept }, expect: [200] });
    const bytes = await document(answer);
    if (digest !== undefined && sha256(bytes) !== digest) throw new PlatformError("INTERNAL", `The registry's ${digest} has other bytes.`);
    return bytes;
  }

  async function putDocument(repository: string, { bytes, descriptor }: Encoded): Promise<void> {
    if ((await has(repository, descriptor.digest)) === undefined) await putBlob(repository, descriptor.mediaType, Readable.from([bytes]));
  }

  return {
    putBlob,
    async putImage(repository, reference, image) {
      await putDocument(repository, image.config);
      const { bytes, descriptor } = image.manifest;
      references.noteUse(repository, reference);
      const answer = await client.call({
        method: "PUT",
        to: `${at(repository)}/manifests/${reference}`,
        repository: at(repository),
        headers: { "content-type": descriptor.mediaType },
        body: () => bytes,
        expect: [201],
      });
      await answer.body.dump();
    },
    async mountBlob(from, to, digest) {
      const query = new URLSearchParams({ mount: digest, from: at(from) });
      const answer = await client.call({
        method: "POST",
        to: `${at(to)}/blobs/uploads/?${query.toString()}`,
        repository: at(to),
        expect: [201, 202],
      });
      await answer.body.dump();
      // 202: it does not mount; the upload that it began ends by itself, and the bytes go through us.
      if (answer.statusCode === 202 && (await has(to, digest)) === undefined)
        await putBlob(to, MEDIA.layer, Readable.from(blobBytes(from, digest), { objectMode: false }));
    },
    async getImage(repository, reference) {
      const asked = z
        .string()
        .regex(/^sha256:/)
        .safeParse(reference);
      const where = at(repository);
      const bytes = await readDocument(`${where}/manifests/${reference}`, where, asked.data, MEDIA.manifest);
      const manifest = manifestSchema.parse(JSON.parse(bytes.toString()));
      const config = await readDocument(`${where}/blobs/${manifest.config.digest}`, where, manifest.config.digest, "*/*");
      return { digest: sha256(bytes), manifest, config: imageConfigSchema.parse(JSON.parse(config.toString())) };
    },
    readBlob: (repository, digest) => Readable.from(blobBytes(repository, digest), { objectMode: false }),
    async blobSize(repository, digest) {
      const size = await has(repository, digest);
      if (size === undefined) throw new PlatformError("NOT_FOUND", `No blob ${digest}.`);
      return size;
    },
    removeReference: (repository, reference) => references.remove(repository, reference),
    async sweep(repository, before, used) {
      const seen = await references.list(repository);
      const { references: kept, manifests } = await used();
      let removed = 0;
      for (const reference of seen) {
        if (kept.has(reference) || references.usedSince(repository, reference, before)) continue;
        const digest = await references.digestOf(repository, reference);
        if (digest === undefined || manifests.has(digest)) continue;
        await references.remove(repository, reference);
        removed++;
      }
      return removed;
    },
  };
}
