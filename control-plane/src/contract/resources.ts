// Resources of the management API, `/v1`. Times are RFC 3339 in UTC.
import { z } from "zod";
import { functionConfigSchema } from "./config.ts";
import { privateRangeSchema } from "./egress-rules.ts";
import { LIMITS } from "./limits.ts";
import { digestSchema, riskSchema, runtimeSchema, slugSchema, uuidSchema } from "./names.ts";
import { problemSchema } from "./errors.ts";
import { MOST_INTEGER, storableText } from "./text.ts";

const time = z.iso.datetime();

export const scopeSchema = z.enum(["operator", "admin", "deploy", "read", "invoke"]);
export type Scope = z.infer<typeof scopeSchema>;

export const tenantSchema = z.object({ id: uuidSchema, slug: slugSchema, risk: riskSchema, createdAt: time }).meta({ id: "Tenant" });
/** A tenant's risk can only be raised, because code that was once considered risky is not trusted again later. */
export const changeTenantSchema = z.strictObject({ risk: riskSchema }).meta({ id: "ChangeTenant" });
export const createTenantSchema = z.strictObject({ slug: slugSchema, risk: riskSchema.default("standard") }).meta({ id: "CreateTenant" });

/** A token without its secret. The secret is shown once, when it is made (SECURITY E10). */
export const tokenSchema = z
  .object({
    id: uuidSchema,
    name: z.string(),
    prefix: z.string(),
    scopes: z.array(scopeSchema),
    createdAt: time,
    expiresAt: time.nullable(),
  })
  .meta({ id: "Token" });
export const createTokenSchema = z
  .strictObject({
    name: storableText(100).min(1),
    scopes: z
      .array(scopeSchema.exclude(["operator"]))
      .min(1)
      .max(LIMITS.tokenScopes)
      .default(["admin", "deploy", "read", "invoke"]),
    expiresInSeconds: z.int().min(60).max(31_536_000).optional(),
  })
  .meta({ id: "CreateToken" });
export const createdTokenSchema = tokenSchema.extend({ secret: z.string() }).meta({ id: "CreatedToken" });

/** A rule of the tenant's own for what its functions may reach. A refusal goes before whatever allows. */
export const egressRuleSchema = z
  .object({
    id: uuidSchema,
    action: z.enum(["allow", "deny"]),
    /** As in `fnctl.yaml`; a refusal without a port is of every port, and `*` of every name. */
    rule: z.string(),
    /** null: of every function. */
    function: slugSchema.nullable(),
    createdAt: time,
  })
  .meta({ id: "EgressRule" });
/** `applied`: egress proxies hold it already. Otherwise it is kept, and holds as soon as they have it. */
export const madeEgressRuleSchema = egressRuleSchema.extend({ applied: z.boolean().optional() }).meta({ id: "MadeEgressRule" });
/** What of private addresses a tenant's functions may reach at all, by names that rules allow. It stands below what the platform opens. */
export const egressCeilingSchema = z
  .strictObject({ private: z.array(privateRangeSchema).max(LIMITS.egressPrivate) })
  .meta({ id: "EgressCeiling" });
export const createEgressRuleSchema = z
  .strictObject({ action: z.enum(["allow", "deny"]), rule: z.string().min(1).max(261), function: slugSchema.nullable().default(null) })
  .meta({ id: "CreateEgressRule" });

export const whoamiSchema = z
  .object({ tenant: tenantSchema.nullable(), token: tokenSchema, endpoint: z.object({ domain: z.string(), publicUrl: z.string() }) })
  .meta({ id: "Whoami" });

export const PHASES = ["validate", "upload", "build", "publish", "rollout", "ready"] as const;
const buildStateSchema = z.enum(["queued", "running", "succeeded", "failed", "superseded"]);
/** One line of a build's event stream (`application/x-ndjson`). `seq` grows by one; a reader resumes with `?since=`. */
export const buildEventSchema = z
  .discriminatedUnion("type", [
    z.object({
      seq: z.int(),
      at: time,
      type: z.literal("phase"),
      phase: z.enum(PHASES),
      state: z.enum(["started", "done"]),
      ms: z.number().optional(),
    }),
    z.object({ seq: z.int(), at: time, type: z.literal("log"), stream: z.enum(["stdout", "stderr", "platform"]), text: z.string() }),
    z.object({
      seq: z.int(),
      at: time,
      type: z.literal("end"),
      /** `superseded`: a newer version or decision took its place; the problem says which. The version may still be ready. */
      state: z.enum(["succeeded", "failed", "superseded"]),
      problem: problemSchema.optional(),
    }),
  ])
  .meta({ id: "BuildEvent" });
export type BuildEvent = z.infer<typeof buildEventSchema>;

export const buildSchema = z
  .object({
    id: uuidSchema,
    state: buildStateSchema,
    createdAt: time,
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    problem: problemSchema.nullable(),
  })
  .meta({ id: "Build" });

export const versionSchema = z
  .object({
    id: uuidSchema,
    number: z.int().positive(),
    /** `superseded`: a newer version, which is to be live, was deployed before its build began. */
    state: z.enum(["building", "ready", "failed", "superseded"]),
    config: functionConfigSchema,
    sourceDigest: digestSchema,
    imageDigest: digestSchema.nullable(),
    imageBytes: z.int().nullable(),
    createdAt: time,
    live: z.boolean(),
    build: buildSchema,
  })
  .meta({ id: "Version" });
export type Version = z.infer<typeof versionSchema>;

export const functionSchema = z
  .object({
    id: uuidSchema,
    name: slugSchema,
    runtime: runtimeSchema,
    createdAt: time,
    url: z.string(),
    pathUrl: z.string(),
    access: z.enum(["private", "public"]),
    liveVersion: z.int().nullable(),
    /**
     * `live`: a version serves. Without one: `building` while the newest version is being built, `build-failed` when its build failed, and
     * `not-live` when it is ready but was not promoted.
     */
    state: z.enum(["live", "building", "build-failed", "not-live"]).optional(),
    /** Changes with every change of the function; sent as ETag too. */
    etag: z.string(),
  })
  .meta({ id: "Function" });
export type FunctionResource = z.infer<typeof functionSchema>;

const instanceSchema = z
  .object({
    id: z.string(),
    version: z.int(),
    state: z.enum(["starting", "ready", "draining"]),
    startedAt: time,
    slots: z.int(),
    inUse: z.int(),
  })
  .meta({ id: "Instance" });
export const functionDetailSchema = functionSchema
  .extend({
    live: versionSchema.nullable(),
    instances: z.array(instanceSchema),
    /** The last instance that ended unexpectedly, and why. */
    lastFailure: z.object({ at: time, reason: z.string(), detail: z.string(), version: z.int() }).nullable(),
  })
  .meta({ id: "FunctionDetail" });

/** Creates the function if it is new, and a version of it; `promote` moves `live` when the version is ready. */
export const createVersionSchema = z
  .strictObject({ sourceDigest: digestSchema, config: functionConfigSchema, promote: z.boolean().default(true) })
  .meta({ id: "CreateVersion" });
export const setAliasSchema = z.strictObject({ version: z.int().positive().max(MOST_INTEGER) }).meta({ id: "SetAlias" });

export const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), nextCursor: z.string().nullable() });
export const pageQuerySchema = z.object({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** A connection of a function that has ended, or a refusal. */
export const egressConnectionSchema = z
  .object({
    id: uuidSchema,
    at: time,
    function: slugSchema,
    version: z.int(),
    instance: z.string(),
    /** `host:port`, or a name alone that was looked up. */
    target: z.string(),
    /** Empty: none was dialled, or it is not told. */
    address: z.string(),
    bytesUp: z.int(),
    bytesDown: z.int(),
    durationMs: z.int(),
    /** `FORBIDDEN: ...` where rules do not allow it. */
    outcome: z.string(),
    /** So many refusals of the same instance came before this one and have no record. */
    notLogged: z.int(),
  })
  .meta({ id: "EgressConnection" });
/** What a function moved through the egress proxies on one day (UTC); some seconds old. */
export const egressUsageSchema = z
  .object({
    day: z.iso.date(),
    /** null: functions that are gone. */
    function: slugSchema.nullable(),
    connections: z.int(),
    bytesUp: z.int(),
    bytesDown: z.int(),
    /** The sum of the connections' lives, milliseconds. */
    openMs: z.int(),
  })
  .meta({ id: "EgressUsage" });
export const egressUsageQuerySchema = z.object({
  function: slugSchema.optional(),
  /** So many days, today included. */
  days: z.coerce.number().int().min(1).max(LIMITS.egressUsageDays).default(7),
});
export const egressLogQuerySchema = pageQuerySchema.extend({
  function: slugSchema.optional(),
  refused: z
    .enum(["true", "false"])
    .default("false")
    .transform((text) => text === "true"),
});
