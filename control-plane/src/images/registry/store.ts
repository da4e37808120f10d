// ImageStore over an OCI 1.1 registry. A repository of ours (a tenant, or `base`) is `<prefix>/<repository>` there. Unreferenced blobs are
// left to the registry's own garbage collection: a registry shows no times, so their age cannot be known here.
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PlatformError } from "../../contract/errors.ts";
import type { ImageStore } from "../layout-store.ts";
import { MEDIA, imageConfigSchema, manifestSchema, type Descriptor, type Encoded } from "../oci.ts";
import { createRegistryClient, type Head, type RegistryOptions } from "./client.ts";
import { createDocuments, parseAs } from "./documents.ts";
import { blobBytes } from "./download.ts";
import { createReferences } from "./references.ts";
import { createReferrers } from "./referrers.ts";
import { createRegistrySweep } from "./sweep.ts";
import { DigestMeter, sha256 } from "../../service/digest.ts";
import { createKeyedMutex } from "../../service/keyed-mutex.ts";
import { uploadBlob } from "./upload.ts";

export interface RegistryStoreOptions extends RegistryOptions {
  /** Folder in which blobs wait for their upload: their digest must be known before the registry is asked whether it has them. */
  spoolDir: string;
}

export function createRegistryStore(options: RegistryStoreOptions): ImageStore {
  const client = createRegistryClient(options);
  const documents = createDocuments(client);
  const references = createReferences(client, documents);
  const at = client.path;
  /** One upload at a time for each blob: distribution 2.8 loses a blob that is uploaded twice at the same time. */
  const oneAtATime = createKeyedMutex();

  async function has(repository: string, digest: string): Promise<number | undefined> {
    const answer = await client.call({
      method: "HEAD",
      to: `${at(repository)}/blobs/${digest}`,
      repository: at(repository),
      expect: [200, 404],
    });
    return answer.statusCode === 200 ? Number(answer.headers["content-length"]) : undefined;
  }

  async function putFile(repository: string, file: string, descriptor: Descriptor): Promise<void> {
    const known = async () => (await has(repository, descriptor.digest)) !== undefined;
    await oneAtATime(`${repository}@${descriptor.digest}`, async () => {
      if (!(await known())) await uploadBlob(client, at(repository), { file, ...descriptor }, known);
    });
  }

  async function spool(source: Readable, file: string): Promise<{ digest: string; size: number }> {
    const meter = new DigestMeter();
    await pipeline(source, meter.through(), createWriteStream(file, { mode: 0o600 }));
    return { digest: meter.digest(), size: meter.bytes };
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

  async function putDocument(repository: string, { bytes, descriptor }: Encoded): Promise<void> {
    await putBlob(repository, descriptor.mediaType, Readable.from([bytes]));
  }

  async function putManifest(
    repository: string,
    reference: string,
    { bytes, descriptor }: Encoded,
    headers: Record<string, string> = {},
    expect = [201],
  ): Promise<Head> {
    return client.call({
      method: "PUT",
      to: `${at(repository)}/manifests/${reference}`,
      repository: at(repository),
      headers: { ...headers, "content-type": descriptor.mediaType },
      body: () => bytes,
      expect,
    });
  }
  const referrers = createReferrers({ client, documents, references, putDocument, putManifest });
  const sweeping = createRegistrySweep(references, referrers);
  const bytesOf = (repository: string, digest: string) => Readable.from(blobBytes(client, at(repository), digest), { objectMode: false });

  return {
    ...referrers.store,
    putBlob,
    async putImage(repository, reference, image) {
      await putDocument(repository, image.config);
      references.noteUse(repository, reference);
      await putManifest(repository, reference, image.manifest);
    },
    async mountBlob(from, to, digest) {
      const query = new URLSearchParams({ mount: digest, from: at(from) });
      const place = `${at(to)}/blobs/uploads/?${query.toString()}`;
      const { statusCode } = await client.call({ method: "POST", to: place, repository: at(to), expect: [201, 202] });
      // 202 means that the registry does not mount. The upload that it opened instead expires by itself, and the bytes are copied through
      // this process.
      if (statusCode === 202 && (await has(to, digest)) === undefined) await putBlob(to, MEDIA.layer, bytesOf(from, digest));
    },
    async getImage(repository, reference) {
      const where = at(repository);
      const asked = { to: `${where}/manifests/${reference}`, repository: where, headers: { accept: MEDIA.manifest } };
      const bytes = await documents.read(asked, reference.startsWith("sha256:") ? reference : undefined);
      const manifest = parseAs(manifestSchema, bytes, "manifest");
      const { digest } = manifest.config;
      const config = await documents.read({ to: `${where}/blobs/${digest}`, repository: where, headers: { accept: "*/*" } }, digest);
      return { digest: sha256(bytes), manifest, config: parseAs(imageConfigSchema, config, "image config") };
    },
    readBlob: bytesOf,
    async blobSize(repository, digest) {
      const size = await has(repository, digest);
      if (size === undefined) throw new PlatformError("NOT_FOUND", `No blob ${digest}.`);
      return size;
    },
    removeReference: sweeping.remove,
    sweep: sweeping.sweep,
  };
}
