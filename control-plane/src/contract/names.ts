// Names and identifiers as they stand on the wire.
import { z } from "zod";
import { ISOLATIONS, LIMITS, RUNTIMES } from "./limits.ts";

/** `[a-z0-9-]`, begins with a letter, ends with no dash, holds no `--`: one half of a host name (SECURITY I4). */
export const slugSchema = z
  .string()
  .max(LIMITS.slugBytes)
  .regex(/^[a-z](?:-?[a-z0-9])*$/, "use a-z, 0-9 and single dashes, beginning with a letter");
export const uuidSchema = z.uuid();
/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md, "Registered algorithms"). */
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, "a digest is sha256: and 64 hex digits");
/** Client-chosen or platform-made id of one request; printable and short, because it is logged. */
export const requestIdSchema = z.string().regex(/^[A-Za-z0-9._-]{8,64}$/);
export const runtimeSchema = z.enum(RUNTIMES);
export const isolationSchema = z.enum(ISOLATIONS);
export const riskSchema = z.enum(["standard", "elevated"]);

export type Runtime = z.infer<typeof runtimeSchema>;
export type Isolation = z.infer<typeof isolationSchema>;
export type Risk = z.infer<typeof riskSchema>;

/** The DNS label of a function's own host, `<function>--<tenant>`. */
export function hostLabel(functionName: string, tenantSlug: string): string {
  return `${functionName}--${tenantSlug}`;
}
