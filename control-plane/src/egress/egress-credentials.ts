// Makes the credential that one sandbox of a cluster shows the egress proxy (contract, egress-credential.ts).
import { SignJWT } from "jose";
import { EGRESS_CREDENTIAL, egressKey, type FunctionClaims } from "../contract/egress-credential.ts";
import { PlatformError } from "../contract/errors.ts";
import type { EgressSource } from "../contract/internal.ts";
import { createEgressCredentialReader } from "../service/egress-credential.ts";

type Claims = { source: EgressSource } | { function: FunctionClaims };

export function createEgressCredentials(internalSecret: string) {
  const key = egressKey(internalSecret);
  const read = createEgressCredentialReader(internalSecret);
  const sign = (instance: string, claims: Claims): Promise<string> =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: EGRESS_CREDENTIAL.algorithm, typ: EGRESS_CREDENTIAL.type })
      .setSubject(instance)
      .setIssuer(EGRESS_CREDENTIAL.issuer)
      .setAudience(EGRESS_CREDENTIAL.audience)
      .setIssuedAt()
      .setExpirationTime(`${EGRESS_CREDENTIAL.maxAgeS}s`)
      .sign(key);
  return {
    /** For a builder, which cannot get another one. */
    forBuilder: (instance: string, source: EgressSource): Promise<string> => sign(instance, { source }),
    forFunction: (instance: string, claims: FunctionClaims): Promise<string> => sign(instance, { function: claims }),
    /** A new credential for a function's that still counts, if `isRunning`. Throws FORBIDDEN. */
    async renew(credential: string, isRunning: (instance: string, versionId: string) => boolean): Promise<string> {
      const claims = await read(credential);
      if (claims === undefined || !("function" in claims) || !isRunning(claims.sub, claims.function.versionId))
        throw new PlatformError("FORBIDDEN", "There is no such instance, or its credential counts no more.");
      return sign(claims.sub, { function: claims.function });
    },
  };
}
export type EgressCredentials = ReturnType<typeof createEgressCredentials>;
