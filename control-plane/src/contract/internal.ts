// Messages between gateway and control plane, sent over the internal listener only (a Unix socket on one machine, SECURITY D8).
import { z } from "zod";
import { corsSchema } from "./config.ts";
import { allowedSchema, ownRuleSchema, privateRangeSchema } from "./egress-rules.ts";
import { addressSchema } from "./instance-address.ts";
import { LIMITS } from "./limits.ts";
import { logChannelSchema } from "./logs.ts";
import { isolationSchema, slugSchema, uuidSchema } from "./names.ts";
import { scopeSchema } from "./resources.ts";

export const INTERNAL_PATHS = {
  changes: "/internal/v1/changes",
  applied: "/internal/v1/changes/applied",
  leases: "/internal/v1/leases",
  renew: "/internal/v1/leases/renew",
  release: "/internal/v1/leases/release",
  bootstrap: "/internal/v1/bootstrap",
  gatewayEnded: "/internal/v1/gateways/ended",
  logChannels: "/internal/v1/log-channels",
  egressRecords: "/internal/v1/egress/records",
  egressCredential: "/internal/v1/egress/credential",
  egressUsage: "/internal/v1/egress/usage",
} as const;

/** Everything ingress needs to serve one function without asking the control plane. */
const routeSchema = z.object({
  tenantId: uuidSchema,
  tenant: slugSchema,
  functionId: uuidSchema,
  function: slugSchema,
  /** Alias `live`: weights over versions. One target with weight 100 for now. */
  targets: z.array(z.object({ versionId: uuidSchema, version: z.int(), weight: z.int().min(0).max(100) })).min(1),
  access: z.enum(["private", "public"]),
  isolation: isolationSchema,
  timeoutMs: z.int(),
  idleTimeoutMs: z.int(),
  concurrency: z.int(),
  min: z.int(),
  max: z.int(),
  cors: corsSchema.optional(),
});
export type Route = z.infer<typeof routeSchema>;

/** A token as ingress knows it: the hash only (SECURITY E10). */
const tokenRecordSchema = z.object({
  tokenId: uuidSchema,
  /** SHA-256 of the whole token, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  tenantId: uuidSchema,
  scopes: z.array(scopeSchema),
  /** Milliseconds since the epoch; null: the token never expires. */
  expiresAt: z.number().nullable(),
});
export type TokenRecord = z.infer<typeof tokenRecordSchema>;

/** What a tenant says itself of what its functions may reach, and what its operator opened to it, as egress proxies hold it. */
export const egressPolicySchema = z.object({
  tenantId: uuidSchema,
  rules: z.array(ownRuleSchema).max(LIMITS.egressOwnRules),
  private: z.array(privateRangeSchema).max(LIMITS.egressPrivate),
});
export type EgressPolicy = z.infer<typeof egressPolicySchema>;

/** What a version may reach by its own rules, of which it has at least one. It never changes. */
const versionRulesSchema = z.object({
  versionId: uuidSchema,
  tenantId: uuidSchema,
  allow: z.array(allowedSchema).min(1).max(LIMITS.egressRules),
});
export type VersionRules = z.infer<typeof versionRulesSchema>;

/**
 * One line of the change stream (`application/x-ndjson`). With `since=<last at>` the stream resumes there if the server still holds the
 * changes after it; otherwise it begins with a snapshot (begin .. end), which replaces everything the reader holds. `ping` comes every 5 s.
 */
export const changeSchema = z.discriminatedUnion("type", [
  z.object({ at: z.string(), type: z.literal("snapshot-begin") }),
  z.object({ at: z.string(), type: z.literal("snapshot-end") }),
  z.object({ at: z.string(), type: z.literal("route"), route: routeSchema }),
  z.object({ at: z.string(), type: z.literal("route-removed"), functionId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("token"), token: tokenRecordSchema }),
  z.object({ at: z.string(), type: z.literal("token-removed"), tokenId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("egress-policy"), policy: egressPolicySchema }),
  z.object({ at: z.string(), type: z.literal("egress-policy-removed"), tenantId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("version-rules"), rules: versionRulesSchema }),
  z.object({ at: z.string(), type: z.literal("version-rules-removed"), versionId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("recall"), leaseId: z.string() }),
  /** The instance is gone or must not be used: fail its requests, drop its leases. */
  z.object({ at: z.string(), type: z.literal("instance-ended"), instance: z.string(), reason: z.string() }),
  z.object({ at: z.string(), type: z.literal("ping") }),
]);
export type Change = z.infer<typeof changeSchema>;

/**
 * A gateway reports that it has applied the change stream up to `at`; `holder` is the name it opened the stream with. API answers wait for
 * this.
 */
export const appliedRequestSchema = z.strictObject({ holder: z.string().max(64), at: z.string().max(100) });

export const leaseRequestSchema = z.strictObject({
  /** The gateway that asks; each gateway process makes itself a new id. */
  holder: z.string().max(64),
  functionId: uuidSchema,
  versionId: uuidSchema,
  /** How long the caller will wait, milliseconds. */
  waitMs: z.int().min(0).max(120_000),
});
export const leaseSchema = z.object({
  leaseId: z.string(),
  instance: z.string(),
  functionId: uuidSchema,
  versionId: uuidSchema,
  version: z.int(),
  address: addressSchema,
  slots: z.int().positive(),
  epoch: z.int(),
  /** Milliseconds since the epoch; the holder renews long before. */
  expiresAt: z.number(),
  /** How long the steps of the cold start took, milliseconds, for `Server-Timing`; all absent when the instance existed already. */
  timing: z.object({ startMs: z.number().optional(), loadMs: z.number().optional(), initMs: z.number().optional() }).optional(),
});
export type Lease = z.infer<typeof leaseSchema>;

/** Sent every third of the lease time, and on (re)connection, with all leases that the holder has. */
export const renewRequestSchema = z.strictObject({
  holder: z.string().max(64),
  leases: z
    .array(
      z.object({
        leaseId: z.string(),
        instance: z.string(),
        functionId: uuidSchema,
        versionId: uuidSchema,
        slots: z.int(),
        inUse: z.int(),
        epoch: z.int(),
      }),
    )
    .max(10_000),
});
export const renewResponseSchema = z.object({ expiresAt: z.number(), lost: z.array(z.string()) });

/** Why a lease is given back: after `idle` the instance may be used again; after the other reasons it must be stopped. */
export const releaseReasonSchema = z.enum(["idle", "recalled", "drain", "timeout", "broken", "poisoned"]);
export const releaseRequestSchema = z.strictObject({
  holder: z.string().max(64),
  leases: z.array(z.object({ leaseId: z.string(), reason: releaseReasonSchema, detail: z.string().max(500).optional() })).max(1000),
});
/** Why each instance ended, as the platform saw it; `detail` is shown to the function's tenant. */
export const releaseResponseSchema = z.object({
  ended: z.array(z.object({ leaseId: z.string(), reason: z.string(), detail: z.string() })),
});

/**
 * A node's log agent asks which function its instances belong to; instances without a function, and unknown ones, are left out of the
 * answer.
 */
export const logChannelsRequestSchema = z.strictObject({ instances: z.array(z.string().regex(/^[0-9a-f]{20}$/)).max(500) });
export const logChannelsResponseSchema = z.object({ channels: z.array(logChannelSchema).max(500) });

/**
 * The platform's first tenant, with secrets that whoever asks has made and kept before: who was cut off before the answer asks again with the
 * same ones and has the same result. With others CONFLICT, once there is an operator's token.
 */
export const bootstrapRequestSchema = z.strictObject({
  tenant: slugSchema,
  tokenName: z.string().min(1).max(100),
  secret: z.string().max(100),
  operatorSecret: z.string().max(100),
});
export const bootstrapResponseSchema = z.object({ tenantId: uuidSchema, tenant: slugSchema });

/** A sandbox that may reach the network; the egress proxy has a Unix socket for each. PUT or DELETE `/internal/v1/sources/:instance`. */
export const egressSourceSchema = z.strictObject({
  /** null: an idle sandbox of the pool, which has no tenant yet. Once a tenant is set, it never changes to another. */
  tenantId: uuidSchema.nullable(),
  /** The function whose instance it is; null: a builder, or nobody's yet. */
  functionId: uuidSchema.nullable().default(null),
  /** Number of its version; 0: it has none. */
  version: z.int().min(0).default(0),
  label: z.string().max(100),
  /** What the operator opens of private addresses differs: package registries for builds, a list of its own for functions. */
  kind: z.enum(["build", "function"]).default("build"),
  /** Everything else is refused; for a function beside what its tenant says itself (`EgressPolicy`). */
  allow: z.array(allowedSchema).max(LIMITS.egressRules),
  maxBytes: z.int().positive(),
  maxConnections: z.int().positive(),
});
export type EgressSource = z.infer<typeof egressSourceSchema>;
/** Limits of one function's instance, for its whole life. */
export const FUNCTION_EGRESS = { maxBytes: 1024 ** 4, maxConnections: 256 };

/**
 * A connection of a function that has ended, or a refusal, as an egress proxy reports it. A record that is reported again has the same id. The
 * address is empty where the tenant is not to learn it.
 */
const egressRecordSchema = z.strictObject({
  id: uuidSchema,
  tenantId: uuidSchema,
  functionId: uuidSchema,
  version: z.int().min(0),
  instance: z.string().max(100),
  at: z.iso.datetime(),
  target: z.string().max(300),
  address: z.string().max(300),
  bytesUp: z.int().min(0),
  bytesDown: z.int().min(0),
  durationMs: z.int().min(0),
  outcome: z.string().max(500),
  /** So many refusals of the same instance came before this one and have no record. */
  notLogged: z.int().min(0),
});
export type EgressRecord = z.infer<typeof egressRecordSchema>;
/** What a function has moved through one proxy on one day (UTC), since that proxy began. */
const egressUseSchema = z.strictObject({
  tenantId: uuidSchema,
  functionId: uuidSchema,
  day: z.iso.date(),
  connections: z.int().min(0),
  bytesUp: z.int().min(0),
  bytesDown: z.int().min(0),
  /** The sum of the connections' lives, milliseconds. */
  openMs: z.int().min(0),
});
export type EgressUse = z.infer<typeof egressUseSchema>;
/** `proxy`: one name for the life of its process (contract/holder.ts). */
export const egressUsageSchema = z.strictObject({ proxy: z.string().max(64), uses: z.array(egressUseSchema).max(LIMITS.egressReport) });

/** A sandbox's credential that still counts, for which a new one is asked; in the answer the new one. */
export const egressCredentialSchema = z.strictObject({ credential: z.string().max(4096) });
export const egressReportSchema = z.strictObject({ records: z.array(egressRecordSchema).max(LIMITS.egressReport) });
