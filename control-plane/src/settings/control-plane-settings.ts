// Settings of the control plane process.
import { z } from "zod";
import { absolutePath, wholeNumber } from "./environment.ts";

const connection = z.string().min(1, "a Postgres connection string");
const json = <T extends z.ZodType>(schema: T) =>
  z.string().transform((text, context) => {
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      context.addIssue({ code: "custom", message: "not the JSON that is expected" });
      return z.NEVER;
    }
  });

export const controlPlaneSettings = z.object({
  FNCTL_DB_APP: connection,
  FNCTL_DB_SYSTEM: connection,
  FNCTL_DB_JOBS: connection,
  FNCTL_API_SOCKET: absolutePath,
  FNCTL_CONTROL_SOCKET: absolutePath,
  FNCTL_DRIVER_SOCKET: absolutePath,
  FNCTL_EGRESS_CONTROL_SOCKET: absolutePath,
  FNCTL_LOG_SOCKET: absolutePath,
  FNCTL_INTERNAL_SECRET_FILE: absolutePath,
  FNCTL_IMAGES_DIR: absolutePath,
  FNCTL_LAYERS_DIR: absolutePath,
  FNCTL_SPOOL_DIR: absolutePath,
  FNCTL_FUNCTION_DOMAIN: z.string().min(1),
  FNCTL_PUBLIC_URL: z.url(),
  FNCTL_POOL_SIZE: wholeNumber.default(2),
  FNCTL_BUILD_REGISTRIES: json(
    z.object({
      npmRegistry: z.string().optional(),
      pypiIndex: z.string().optional(),
      hosts: z.array(z.object({ host: z.string(), ports: z.array(z.int()) })),
    }),
  ),
  FNCTL_CA_BUNDLE_FILE: absolutePath.optional(),
  FNCTL_DATA_GID: wholeNumber.optional(),
});
export type ControlPlaneSettings = z.infer<typeof controlPlaneSettings>;
