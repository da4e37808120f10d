// Artifacts of a registry: its referrers API, or the fallback tag where it has none (distribution-spec 1.1, "Listing Referrers",
// "Pushing Manifests with Subject", "Referrers Tag Schema").
import { EMPTY, artifactManifest, artifactSchema, ofType, referrerOf, type ArtifactStore, type Attached } from "../artifact.ts";
import { MEDIA, encode, indexSchema, type Descriptor, type Encoded, type Index } from "../oci.ts";
import { PlatformError } from "../../contract/errors.ts";
import { REGISTRY_LIMITS, type Head, type RegistryClient } from "./client.ts";
import { parseAs, type Documents } from "./documents.ts";
import type { References } from "./references.ts";
import { createKeyedMutex } from "../../service/keyed-mutex.ts";

export interface ReferrersDeps {
  client: RegistryClient;
  documents: Documents;
  references: References;
  putDocument(repository: string, document: Encoded): Promise<void>;
  putManifest(repository: string, reference: string, manifest: Encoded, headers?: Record<string, string>, expect?: number[]): Promise<Head>;
}
const FALLBACK = /^sha256-([0-9a-f]{64})$/;
const fallbackTag = (subject: string): string => subject.replace(":", "-");
/** The subject of a fallback tag; undefined for an ordinary tag. */
export const subjectOf = (tag: string): string | undefined => {
  const hex = FALLBACK.exec(tag)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
};
const NOTHING: Index = { schemaVersion: 2, mediaType: MEDIA.index, manifests: [] };

export function createReferrers({ client, documents, references, putDocument, putManifest }: ReferrersDeps) {
  const at = client.path;
  /** One write at a time for each subject. Other processes do not write, because only the owner acts (platform/owner.ts). */
  const oneAtATime = createKeyedMutex();

  async function readFallback(repository: string, subject: string): Promise<{ index: Index; etag: string | undefined }> {
    const to = `${at(repository)}/manifests/${fallbackTag(subject)}`;
    const found = await documents.find({ to, repository: at(repository), headers: { accept: MEDIA.index } });
    if (found === undefined) return { index: NOTHING, etag: undefined };
    const { etag } = found.headers;
    return { index: parseAs(indexSchema, found.bytes, "list of referrers"), etag: typeof etag === "string" ? etag : undefined };
  }

  /**
   * Reads the list, adds the entry, writes it, and reads again: some registries ignore If-Match, and another writer's list may have
   * replaced ours.
   */
  async function addToFallback(repository: string, subject: string, entry: Descriptor): Promise<void> {
    for (let tried = 1; tried <= REGISTRY_LIMITS.tries + 1; tried++) {
      const { index, etag } = await readFallback(repository, subject);
      if (index.manifests.some(({ digest }) => digest === entry.digest)) return;
      const next = encode(MEDIA.index, { ...index, manifests: [...index.manifests, entry] });
      const condition: Record<string, string> = etag === undefined ? {} : { "if-match": etag };
      const answer = await putManifest(repository, fallbackTag(subject), next, condition, [201, 412]);
      if (answer.statusCode === 412) await client.pause(tried);
    }
    throw new PlatformError("UNAVAILABLE", `The list of referrers of ${subject} changes too often.`, { hint: "Try again." });
  }

  async function list(repository: string, subject: string, artifactType?: string): Promise<Descriptor[]> {
    const query = artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType }).toString()}`;
    const found: Descriptor[] = [];
    let known = false;
    for await (const { bytes } of documents.pages(`${at(repository)}/referrers/${subject}${query}`, at(repository), {
      accept: MEDIA.index,
    })) {
      known = true;
      found.push(...parseAs(indexSchema, bytes, "list of referrers").manifests);
    }
    // Filtered here whatever OCI-Filters-Applied says: filtering twice changes nothing, and a registry may claim wrongly that it has
    // filtered.
    return ofType(known ? found : (await readFallback(repository, subject)).index.manifests, artifactType);
  }

  const store: ArtifactStore = {
    async attach(repository, subject, input) {
      const about = await describe(subject, () => client.call(manifestHead(at(repository), subject)));
      const artifact = artifactManifest(about, input);
      await putDocument(repository, EMPTY);
      await oneAtATime(`${repository}@${subject}`, async () => {
        const answer = await putManifest(repository, artifact.descriptor.digest, artifact);
        if (answer.headers["oci-subject"] === undefined) await addToFallback(repository, subject, referrerOf(artifact.descriptor, input));
      });
      return artifact.descriptor;
    },
    referrers: list,
    async getArtifact(repository, digest) {
      const asked = { to: `${at(repository)}/manifests/${digest}`, repository: at(repository), headers: { accept: MEDIA.manifest } };
      return parseAs(artifactSchema, await documents.read(asked, digest), "artifact");
    },
  };

  /** Adds every visited subject to `kept`, so that no subject is visited twice. */
  async function drop(repository: string, subject: string, kept: Set<string>): Promise<void> {
    kept.add(subject);
    for (const { digest } of await list(repository, subject)) {
      if (kept.has(digest)) continue;
      await drop(repository, digest, kept);
      await references.erase(repository, digest);
    }
    await references.remove(repository, fallbackTag(subject));
  }

  return {
    store,
    /**
     * Removes all artifacts that are attached to a digest which is no longer used, and the list of them. Such a list is not trusted: it may
     * form a circle, or name digests that are still used. Digests in `living` stay, with everything that is attached to them.
     */
    drop: (repository: string, subject: string, living: ReadonlySet<string>): Promise<void> => drop(repository, subject, new Set(living)),
    /** All artifacts that the lists of these subjects name. */
    async attachedTo(repository: string, subjects: readonly string[]): Promise<Attached[]> {
      const all: Attached[] = [];
      for (const subject of subjects) for (const { digest } of await list(repository, subject)) all.push({ digest, subject });
      return all;
    },
  };
}

const manifestHead = (repository: string, digest: string) => ({
  method: "HEAD" as const,
  to: `${repository}/manifests/${digest}`,
  repository,
  headers: { accept: MEDIA.manifest },
  expect: [200],
});

async function describe(digest: string, ask: () => Promise<Head>): Promise<Descriptor> {
  const { headers } = await ask();
  return { mediaType: MEDIA.manifest, digest, size: Number(headers["content-length"]) };
}
