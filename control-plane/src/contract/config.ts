// The configuration of one function. The same schema checks `fnctl.yaml` (after units are read) and the API's body.
import { z } from "zod";
import { egressSchema } from "./egress-rules.ts";
import { LIMITS, MEMORY_SIZES_MIB } from "./limits.ts";
import { isolationSchema, runtimeSchema } from "./names.ts";
import { storableText } from "./text.ts";

const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "letters, digits and _ only");

/** Names the platform sets itself or that would change how the runtime starts. */
export const RESERVED_ENV = /^(FNCTL_|NODE_OPTIONS$|LD_|PYTHONPATH$|PYTHONHOME$|PATH$|HOME$)/;

export const envSchema = z
  .record(envName, storableText(LIMITS.envBytes))
  .refine((env) => Object.keys(env).length <= LIMITS.envEntries, `at most ${LIMITS.envEntries} settings`)
  .refine((env) => JSON.stringify(env).length <= LIMITS.envBytes, `at most ${LIMITS.envBytes} bytes in all`)
  .refine(
    (env) => !Object.keys(env).some((key) => RESERVED_ENV.test(key)),
    "FNCTL_*, LD_*, NODE_OPTIONS, PATH, HOME, PYTHONPATH and PYTHONHOME are reserved",
  );

/**
 * Which pages may read the answers of a private function. Preflights are answered alike for all function names, so that they do not show
 * which ones exist.
 */
export const corsSchema = z.strictObject({
  origins: z.array(storableText(255)).min(1).max(50),
  /** Pages may read answers to these methods only. */
  methods: z
    .array(z.string().regex(/^[A-Z]{1,20}$/))
    .max(20)
    .optional(),
  /**
   * `headers` and `maxAgeSeconds` have no effect, because both would show in preflights; they are accepted because older files have them.
   */
  headers: z
    .array(z.string().regex(/^[A-Za-z0-9-]{1,64}$/))
    .max(50)
    .optional(),
  credentials: z.boolean().optional(),
  maxAgeSeconds: z.int().min(0).max(86_400).optional(),
});

/** `main` names the file in the source tree that holds the handler; if it is absent, the usual names are tried. */
const mainSchema = z
  .string()
  .max(255)
  .regex(/^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[A-Za-z0-9._/-]+$/, "a relative path without ..");

export const functionConfigSchema = z
  .strictObject({
    runtime: runtimeSchema,
    main: mainSchema.optional(),
    /** Name of the export or attribute that is called; absent: `default`, `app`, `handler`, in this order. */
    handler: z
      .string()
      .regex(/^[A-Za-z_$][A-Za-z0-9_$]{0,127}$/)
      .optional(),
    access: z.enum(["private", "public"]).default("private"),
    isolation: isolationSchema.optional(),
    memoryMib: z.literal([...MEMORY_SIZES_MIB]).default(256),
    timeoutMs: z.int().min(LIMITS.timeoutMinMs).max(LIMITS.timeoutMaxMs).default(30_000),
    idleTimeoutMs: z.int().min(1_000).max(3_600_000).default(60_000),
    min: z.int().min(0).max(LIMITS.maxInstances).default(0),
    max: z.int().min(1).max(LIMITS.maxInstances).default(10),
    concurrency: z.int().min(1).max(LIMITS.maxConcurrency).default(50),
    env: envSchema.default({}),
    cors: corsSchema.optional(),
    egress: egressSchema.optional(),
  })
  .refine((config) => config.min <= config.max, { path: ["min"], message: "min is above max" })
  .meta({ id: "FunctionConfig" });
export type FunctionConfig = z.infer<typeof functionConfigSchema>;
