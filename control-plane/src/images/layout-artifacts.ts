// Artifacts in an image layout are entries of index.json without a name, found by the subject in their manifests (image-spec,
// image-layout.md).
import { z } from "zod";
import { EMPTY, artifactManifest, artifactSchema, livingWith, ofType, referrerOf, type ArtifactStore, type Attached } from "./artifact.ts";
import { MEDIA, descriptorSchema, type Descriptor, type Encoded } from "./oci.ts";

export interface LayoutPlace {
  entries(repository: string): Promise<Descriptor[]>;
  changeEntries(repository: string, change: (entries: Descriptor[]) => Descriptor[]): Promise<void>;
  putBytes(repository: string, document: Encoded): Promise<void>;
  /** Throws NOT_FOUND when the repository has no such document. */
  readDocument(repository: string, digest: string): Promise<unknown>;
  size(repository: string, digest: string): Promise<number>;
  nameOf(entry: Descriptor): string | undefined;
}
const typedSchema = z.object({ mediaType: z.string().default(MEDIA.manifest) });
const aboutSchema = z.object({ subject: descriptorSchema.optional() });

export function createLayoutArtifacts(place: LayoutPlace) {
  const unnamed = async (repository: string) => (await place.entries(repository)).filter((entry) => place.nameOf(entry) === undefined);

  async function attached(repository: string): Promise<Attached[]> {
    const about = async ({ digest }: Descriptor): Promise<Attached> => {
      const { subject } = aboutSchema.parse(await place.readDocument(repository, digest));
      return { digest, subject: subject?.digest };
    };
    return Promise.all((await unnamed(repository)).map(about));
  }
  const getArtifact = async (repository: string, digest: string) => artifactSchema.parse(await place.readDocument(repository, digest));

  const store: ArtifactStore = {
    async attach(repository, subject, input) {
      const { mediaType } = typedSchema.parse(await place.readDocument(repository, subject));
      const artifact = artifactManifest({ mediaType, digest: subject, size: await place.size(repository, subject) }, input);
      await place.putBytes(repository, EMPTY);
      await place.putBytes(repository, artifact);
      // The artifact's own annotations stay in its manifest: in index.json one of them could be mistaken for a name.
      const entry: Descriptor = { ...artifact.descriptor, artifactType: input.artifactType };
      await place.changeEntries(repository, (all) =>
        all.some((old) => old.digest === entry.digest && place.nameOf(old) === undefined) ? all : [...all, entry],
      );
      return artifact.descriptor;
    },
    async referrers(repository, subject, artifactType) {
      const found: Descriptor[] = [];
      const about = new Set((await attached(repository)).filter((one) => one.subject === subject).map(({ digest }) => digest));
      for (const entry of await unnamed(repository))
        if (about.has(entry.digest)) found.push(referrerOf(entry, await getArtifact(repository, entry.digest)));
      return ofType(found, artifactType);
    },
    getArtifact,
  };
  return {
    store,
    /** Digests of the given manifests and of all artifacts that are kept because of them. */
    living: async (repository: string, manifests: Iterable<string>) => livingWith(manifests, await attached(repository)),
  };
}
