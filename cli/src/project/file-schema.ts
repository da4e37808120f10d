// `fnctl.yaml` as people write it. The output has the contract's names and units; editors get the schema of the input as JSON Schema.
import { corsSchema, envSchema, functionConfigSchema, RESERVED_ENV } from "@fnctl/control-plane/contract/config";
import { egressSchema } from "@fnctl/control-plane/contract/egress-rules";
import { LIMITS, MEMORY_SIZES_MIB } from "@fnctl/control-plane/contract/limits";
import { slugSchema } from "@fnctl/control-plane/contract/names";
import { z } from "zod";
import { duration as showDuration } from "../terminal/amounts.ts";
import { DURATION_PATTERN, MEMORY_PATTERN, parseDuration, parseMemory } from "./units.ts";

const shape = functionConfigSchema.shape;
const sizes = MEMORY_SIZES_MIB.map((size) => `${size}MB`).join(", ");

const duration = (leastMs: number, mostMs: number) =>
  z
    .string({ error: "write a duration with its unit: 30s, 500ms or 5m" })
    .regex(new RegExp(DURATION_PATTERN), "write a duration with its unit: 30s, 500ms or 5m")
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine((ms) => ms >= leastMs && ms <= mostMs, `from ${showDuration(leastMs)} to ${showDuration(mostMs)}`);

const isSize = (value: string | number) => MEMORY_SIZES_MIB.some((size) => size === parseMemory(value));
const memory = z
  .union([z.literal([...MEMORY_SIZES_MIB]), z.string().regex(new RegExp(MEMORY_PATTERN)).refine(isSize, `one of ${sizes}`)], {
    error: `one of ${sizes}`,
  })
  .transform((value) => parseMemory(value) as (typeof MEMORY_SIZES_MIB)[number]);

const envName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "letters, digits and _ only")
  .refine((name) => !RESERVED_ENV.test(name), "reserved by the platform or the runtime");
/** Numbers and booleans are allowed; `keepEnvAsWritten` turns them into the text that is in the file. */
const env = z
  .record(envName, z.union([z.string(), z.number(), z.boolean()], { error: "a text; write '' for an empty one" }))
  .transform((values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)])))
  .pipe(envSchema);

const settings = {
  runtime: shape.runtime.describe("The language and its version."),
  main: shape.main.describe("The file that holds the handler. Absent: index.ts, index.js, src/index.ts, main.py, app.py and the like."),
  handler: shape.handler.describe("The export or attribute to call. Absent: default, app, handler, in this order."),
  access: z
    .enum(["private", "public"])
    .optional()
    .describe("Who may call it: holders of a token of the tenant (private, the default), or everybody."),
  isolation: shape.isolation.describe("The sandbox. Absent: the tenant's."),
  memory: memory.optional().describe(`Memory of one instance: ${sizes}. Default 256MB.`),
  timeout: duration(LIMITS.timeoutMinMs, LIMITS.timeoutMaxMs).optional().describe("Longest time for one request, e.g. 30s (the default)."),
  idleTimeout: duration(1_000, 3_600_000).optional().describe("An instance without requests is stopped after this time. Default 60s."),
  min: z.int().min(0).max(LIMITS.maxInstances).optional().describe("Instances kept running. Default 0."),
  max: z.int().min(1).max(LIMITS.maxInstances).optional().describe("Most instances at a time. Default 10."),
  concurrency: z.int().min(1).max(LIMITS.maxConcurrency).optional().describe("Requests that one instance takes at a time. Default 50."),
  env: env.optional().describe("Settings of the function, as environment variables. Not for secrets."),
  cors: corsSchema.optional().describe("Browsers' cross-origin calls of a private function."),
  egress: egressSchema.optional().describe("What it may reach. Absent: nothing. `public`: every public address on ports 80 and 443."),
};

const DEFAULT_MAX = 10;
/** `when` makes zod report this together with the file's other mistakes, not only after they are fixed. */
const MINMAX = { path: ["min"], message: "min is above max", when: () => true };
function ordered(value: unknown): boolean {
  const { min = 0, max = DEFAULT_MAX } = (typeof value === "object" && value !== null ? value : {}) as { min?: unknown; max?: unknown };
  return typeof min !== "number" || typeof max !== "number" || min <= max;
}

/** A file with one function, whose settings are the whole file. */
export const singleSchema = z
  .strictObject({ name: slugSchema.describe("Name of the function, unique in the tenant."), ...settings })
  .refine(ordered, MINMAX);
/** One of several functions, whose name is its key in the map. */
const memberSchema = z
  .strictObject({ path: z.string().min(1).describe("Folder of its source, relative to this file."), ...settings })
  .refine(ordered, MINMAX);
export const multipleSchema = z.strictObject({
  functions: z.record(slugSchema, memberSchema).refine((all) => Object.keys(all).length > 0, "name at least one function"),
});

export const SETTING_NAMES = ["name", "path", "functions", ...Object.keys(settings)];
export type FileFunction = z.output<typeof memberSchema>;
