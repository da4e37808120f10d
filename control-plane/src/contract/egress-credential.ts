// A sandbox in a cluster shows the egress proxy a token made for it alone, which says which hosts it may reach. Proxies need to know
// nothing beforehand, so any number of them can run side by side.
import { hkdfSync } from "node:crypto";
import { z } from "zod";
import { egressSourceSchema } from "./internal.ts";

/** JWT (RFC 7519), HMAC with SHA-256. `sub`: the instance's id, which is also the user name of the proxy's URL. */
export const EGRESS_CREDENTIAL = {
  algorithm: "HS256",
  issuer: "fnctl",
  audience: "fnctl-egress",
  type: "fnctl-egress+jwt",
  /** Longest life, seconds: a builder's time in the pool and its build. */
  maxAgeS: 45 * 60,
} as const;

export const egressClaimsSchema = z.object({ sub: z.string().max(100), source: egressSourceSchema });

/** Derives a key for this purpose alone from the secret that the platform's parts share (RFC 5869). */
export const egressKey = (internalSecret: string): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", internalSecret, "", "fnctl egress credential v1", 32));
