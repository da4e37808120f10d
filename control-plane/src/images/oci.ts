// OCI image documents as data: config, manifest, index (OCI image-spec 1.1). Pure; equal input gives equal bytes.
import { sha256 } from "../service/digest.ts";
import { z } from "zod";
import { digestSchema } from "../contract/names.ts";

export const MEDIA = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  /** Uncompressed: on one machine a layer is read from disk only. A registry push may compress. */
  layer: "application/vnd.oci.image.layer.v1.tar",
  /** The two bytes `{}`, where an artifact has no config or no content. */
  empty: "application/vnd.oci.empty.v1+json",
} as const;

export const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: digestSchema,
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
  /** The artifact type of the manifest that this descriptor points to, if that is an artifact. */
  artifactType: z.string().optional(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

export const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  /** Optional, because not every tool writes this field (image-spec, manifest.md: SHOULD). */
  mediaType: z.literal(MEDIA.manifest).default(MEDIA.manifest),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).min(1),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MEDIA.index).optional(),
  manifests: z.array(descriptorSchema),
});
export type Index = z.infer<typeof indexSchema>;

export const imageConfigSchema = z.object({
  created: z.string(),
  architecture: z.string(),
  os: z.string(),
  config: z.object({
    User: z.string(),
    Env: z.array(z.string()),
    Entrypoint: z.array(z.string()),
    WorkingDir: z.string(),
    Labels: z.record(z.string(), z.string()).optional(),
  }),
  rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(digestSchema) }),
});
export type ImageConfig = z.infer<typeof imageConfigSchema>;

/** Go's GOARCH names, as the spec asks. */
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, string>> = { x64: "amd64", arm64: "arm64" };
/** A fixed time instead of the clock, so that the same input gives the same image. */
const EPOCH = "1970-01-01T00:00:00Z";

export interface Encoded {
  bytes: Buffer;
  descriptor: Descriptor;
}
export function encode(mediaType: string, document: unknown): Encoded {
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.length } };
}

export interface BaseInput {
  layer: Descriptor;
  process: { args: readonly string[]; env: readonly string[]; cwd: string };
}

/** A base image: one layer, uid 10001, the bootstrap as entry point. */
export function baseImage(input: BaseInput): { config: Encoded; manifest: Encoded } {
  const config: ImageConfig = {
    created: EPOCH,
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: "linux",
    config: { User: "10001:10001", Env: [...input.process.env], Entrypoint: [...input.process.args], WorkingDir: input.process.cwd },
    rootfs: { type: "layers", diff_ids: [input.layer.digest] },
  };
  return finish(config, [input.layer]);
}

/** The image of a version: its base's layers, then its code (image-spec, manifest.md: base at index 0). */
export function versionImage(
  base: { config: ImageConfig; manifest: Manifest },
  code: Descriptor,
  labels: Record<string, string>,
): { config: Encoded; manifest: Encoded } {
  const config: ImageConfig = {
    ...base.config,
    config: { ...base.config.config, Labels: labels },
    rootfs: { type: "layers", diff_ids: [...base.config.rootfs.diff_ids, code.digest] },
  };
  return finish(config, [...base.manifest.layers, code]);
}

function finish(config: ImageConfig, layers: Descriptor[]): { config: Encoded; manifest: Encoded } {
  const encoded = encode(MEDIA.config, config);
  const manifest: Manifest = { schemaVersion: 2, mediaType: MEDIA.manifest, config: encoded.descriptor, layers };
  return { config: encoded, manifest: encode(MEDIA.manifest, manifest) };
}
