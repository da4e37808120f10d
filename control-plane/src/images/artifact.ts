// Artifacts that are stored beside an image and describe it: signatures, lists of contents (image-spec 1.1, manifest.md, "Guidelines for
// Artifact Usage").
import { z } from "zod";
import { descriptorSchema, encode, manifestSchema, MEDIA, type Descriptor, type Encoded } from "./oci.ts";

export const EMPTY: Encoded = encode(MEDIA.empty, {});

export const artifactSchema = manifestSchema.extend({
  /** A media type (RFC 6838 section 4.2). */
  artifactType: z.string().regex(/^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}$/),
  /** The manifest that the artifact describes, by digest. */
  subject: descriptorSchema,
});
export type Artifact = z.infer<typeof artifactSchema>;

export interface ArtifactInput {
  artifactType: string;
  /** Blobs that are in the repository already; empty when the annotations are the whole content. */
  layers: readonly Descriptor[];
  annotations?: Record<string, string>;
}

/** The part of an ImageStore that keeps artifacts. They live as long as their subject, and have no name but their digest. */
export interface ArtifactStore {
  /**
   * Attaches an artifact to a manifest of the repository, which may be an artifact itself. NOT_FOUND without that manifest. Attaching the
   * same artifact again changes nothing.
   */
  attach(repository: string, subject: string, artifact: ArtifactInput): Promise<Descriptor>;
  /** The artifacts attached to a digest, with type and annotations; an unknown digest gives an empty list. */
  referrers(repository: string, subject: string, artifactType?: string): Promise<Descriptor[]>;
  getArtifact(repository: string, digest: string): Promise<Artifact>;
}

export function artifactManifest(subject: Descriptor, { artifactType, layers, annotations }: ArtifactInput): Encoded {
  const artifact: Artifact = {
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    artifactType,
    config: EMPTY.descriptor,
    layers: layers.length === 0 ? [EMPTY.descriptor] : [...layers],
    subject,
    ...(annotations === undefined ? {} : { annotations }),
  };
  return encode(MEDIA.manifest, artifactSchema.parse(artifact));
}

/**
 * An artifact's entry in a list of referrers: type and annotations are copied from the manifest (distribution-spec, "Referrers Tag
 * Schema").
 */
export function referrerOf(
  descriptor: Descriptor,
  { artifactType, annotations }: Pick<Artifact, "artifactType" | "annotations">,
): Descriptor {
  const { mediaType, digest, size } = descriptor;
  return { mediaType, digest, size, artifactType, ...(annotations === undefined ? {} : { annotations }) };
}

export const ofType = (all: readonly Descriptor[], artifactType: string | undefined): Descriptor[] =>
  all.filter((one) => artifactType === undefined || one.artifactType === artifactType);

/** One artifact, and the manifest that it is attached to. */
export interface Attached {
  digest: string;
  subject: string | undefined;
}

/** Digests that must be kept: the given roots, the artifacts attached to them, the artifacts attached to those, and so on. */
export function livingWith(roots: Iterable<string>, attached: readonly Attached[]): Set<string> {
  const living = new Set(roots);
  for (let before = -1; before !== living.size;) {
    before = living.size;
    for (const { digest, subject } of attached) if (subject !== undefined && living.has(subject)) living.add(digest);
  }
  return living;
}
