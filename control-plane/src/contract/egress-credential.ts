// A sandbox in a cluster shows the egress proxy a token made for it alone, which says who it is. A builder's also says what it may reach, so that
// proxies need to know nothing beforehand; a function's does not: rules come by the change stream, and may change while it lives.
import { hkdfSync } from "node:crypto";
import { z } from "zod";
import { egressSourceSchema } from "./internal.ts";
import { uuidSchema } from "./names.ts";

/** JWT (RFC 7519), HMAC with SHA-256. `sub`: the instance's id. */
export const EGRESS_CREDENTIAL = {
  algorithm: "HS256",
  issuer: "fnctl",
  audience: "fnctl-egress",
  type: "fnctl-egress+jwt",
  /** Longest life, seconds: a builder's time in the pool and its build. A function's sandbox gets new ones, the first a third of this time later. */
  maxAgeS: 45 * 60,
} as const;

/** At the proxy: a function's sandbox gets a new credential for one that still counts. */
export const EGRESS_CREDENTIAL_PATH = "/credential";

const functionClaimsSchema = z.strictObject({
  tenantId: uuidSchema,
  functionId: uuidSchema,
  versionId: uuidSchema,
  version: z.int().positive(),
  label: z.string().max(100),
  /** Of the pod, the only one from which the credential counts. */
  address: z.string().max(50),
  /** Whether the version has rules of its own, for which a proxy that does not know them yet waits. */
  hasRules: z.boolean(),
});
export type FunctionClaims = z.infer<typeof functionClaimsSchema>;

const subject = z.string().max(100);
export const egressClaimsSchema = z.union([
  z.object({ sub: subject, source: egressSourceSchema }),
  z.object({ sub: subject, function: functionClaimsSchema }),
]);

/** Derives a key for this purpose alone from the secret that the platform's parts share (RFC 5869). */
export const egressKey = (internalSecret: string): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", internalSecret, "", "fnctl egress credential v1", 32));
