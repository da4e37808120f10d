// Between gateway and control plane, on the internal listener only (a Unix socket on one machine, SECURITY D8).
import { z } from "zod";
import { corsSchema } from "./config.ts";
import { addressSchema } from "./instance-address.ts";
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
  logChannels: "/internal/v1/log-channels",
} as const;

/** All ingress must know to serve one function without asking anybody. */
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
  /** Milliseconds since the epoch; null: never. */
  expiresAt: z.number().nullable(),
});
export type TokenRecord = z.infer<typeof tokenRecordSchema>;

/**
 * One line of the change stream (`application/x-ndjson`). `since=` with the last `at` resumes if the server still holds what
 * followed; otherwise it answers a snapshot (begin .. end), which replaces all the reader has. `ping` comes every 5 s.
 */
export const changeSchema = z.discriminatedUnion("type", [
  z.object({ at: z.string(), type: z.literal("snapshot-begin") }),
  z.object({ at: z.string(), type: z.literal("snapshot-end") }),
  z.object({ at: z.string(), type: z.literal("route"), route: routeSchema }),
  z.object({ at: z.string(), type: z.literal("route-removed"), functionId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("token"), token: tokenRecordSchema }),
  z.object({ at: z.string(), type: z.literal("token-removed"), tokenId: uuidSchema }),
  z.object({ at: z.string(), type: z.literal("recall"), leaseId: z.string() }),
  /** The instance is gone or must not be used: fail its requests, drop its leases. */
  z.object({ at: z.string(), type: z.literal("instance-ended"), instance: z.string(), reason: z.string() }),
  z.object({ at: z.string(), type: z.literal("ping") }),
]);
export type Change = z.infer<typeof changeSchema>;

/** A gateway serves what the change stream said up to `at`; it named itself there as `?holder=`. Answers of the API wait for this. */
export const appliedRequestSchema = z.strictObject({ holder: z.string().max(64), at: z.string().max(100) });

export const leaseRequestSchema = z.strictObject({
  /** The gateway that asks; one id per process life. */
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
  /** What the cold start cost, milliseconds, for `Server-Timing`; all absent when the instance was there already. */
  timing: z.object({ startMs: z.number().optional(), loadMs: z.number().optional(), initMs: z.number().optional() }).optional(),
});
export type Lease = z.infer<typeof leaseSchema>;

/** Sent every third of the lease time, and on (re)connection, with all that the holder has. */
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

/** Given back: `idle` may be re-used; the other reasons mean that the instance is to be stopped. */
export const releaseReasonSchema = z.enum(["idle", "recalled", "drain", "timeout", "broken", "poisoned"]);
export const releaseRequestSchema = z.strictObject({
  holder: z.string().max(64),
  leases: z.array(z.object({ leaseId: z.string(), reason: releaseReasonSchema, detail: z.string().max(500).optional() })).max(1000),
});
/** Why an instance ended, as the platform saw it; `detail` is for its owner. */
export const releaseResponseSchema = z.object({
  ended: z.array(z.object({ leaseId: z.string(), reason: z.string(), detail: z.string() })),
});

/** A node's log agent asks whose its instances are; those that are nobody's, or not known, are left out of the answer. */
export const logChannelsRequestSchema = z.strictObject({ instances: z.array(z.string().regex(/^[0-9a-f]{20}$/)).max(500) });
export const logChannelsResponseSchema = z.object({ channels: z.array(logChannelSchema).max(500) });

/** First tenant and token, made by the supervisor at the first start. */
export const bootstrapRequestSchema = z.strictObject({ tenant: slugSchema, tokenName: z.string() });
export const bootstrapResponseSchema = z.object({
  tenantId: uuidSchema,
  tenant: slugSchema,
  secret: z.string(),
  operatorSecret: z.string(),
});

/** Egress proxy: one Unix socket per instance that may go out. PUT or DELETE `/internal/v1/sources/:instance`. */
export const egressSourceSchema = z.strictObject({
  /** null: a pooled sandbox that nobody has yet. Once it names a tenant it never names another. */
  tenantId: uuidSchema.nullable(),
  label: z.string().max(100),
  /** Exact host names or `*.example.com`, with ports. Everything else is refused. */
  allow: z.array(z.strictObject({ host: z.string().max(253), ports: z.array(z.int().min(1).max(65_535)).min(1).max(20) })).max(100),
  maxBytes: z.int().positive(),
  maxConnections: z.int().positive(),
});
export type EgressSource = z.infer<typeof egressSourceSchema>;
