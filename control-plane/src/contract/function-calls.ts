// How one function calls another of its tenant: by a name that exists only inside sandboxes, through the egress proxy, which tells the gateway who
// calls by a credential on each connection.
import { hkdfSync } from "node:crypto";
import { z } from "zod";
import { slugSchema, uuidSchema } from "./names.ts";

/** `.internal` is nobody's in the public DNS (ICANN Board resolution 2024.07.29.06). */
const SUFFIX = ".fn.internal";
/** Plain HTTP inside of the tunnel. */
export const CALL_PORT = 80;

export const callName = (name: string): string => `${name}${SUFFIX}`;
/** Whether a name is, or lies in, what is reserved for functions. */
export const isCallName = (host: string): boolean => host.endsWith(SUFFIX) || host === SUFFIX.slice(1);
/** The function that a name stands for; undefined: it stands for none. */
export function calledFunction(host: string): string | undefined {
  const name = host.endsWith(SUFFIX) ? host.slice(0, -SUFFIX.length) : "";
  return slugSchema.safeParse(name).success ? name : undefined;
}

/** JWT (RFC 7519), HMAC with SHA-256: the first line of a connection from the egress proxy to the gateway. */
export const CALL_CREDENTIAL = {
  algorithm: "HS256",
  issuer: "fnctl",
  audience: "fnctl-calls",
  type: "fnctl-call+jwt",
  maxAgeS: 30,
} as const;
export const callClaimsSchema = z.object({ tenantId: uuidSchema, functionId: uuidSchema, called: slugSchema });
export type CallClaims = z.infer<typeof callClaimsSchema>;

/** Keys for these purposes alone, from the secret that the platform's parts share (RFC 5869). */
const derived = (secret: string, purpose: string): Uint8Array => new Uint8Array(hkdfSync("sha256", secret, "", purpose, 32));
export const callKey = (secret: string): Uint8Array => derived(secret, "fnctl function call v1");
export const chainKey = (secret: string): Uint8Array => derived(secret, "fnctl call chain v1");
