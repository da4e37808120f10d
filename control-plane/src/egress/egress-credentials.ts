// Makes the credential that one sandbox of a cluster shows the egress proxy (contract, egress-credential.ts).
import { SignJWT } from "jose";
import { EGRESS_CREDENTIAL, egressKey } from "../contract/egress-credential.ts";
import type { EgressSource } from "../contract/internal.ts";

/** `address`: `host:port` of the proxy as sandboxes reach it. Resolves with a proxy URL for this instance alone. */
export function createEgressCredentials(internalSecret: string, address: string) {
  const key = egressKey(internalSecret);
  return async (instance: string, source: EgressSource): Promise<string> => {
    const token = await new SignJWT({ source })
      .setProtectedHeader({ alg: EGRESS_CREDENTIAL.algorithm, typ: EGRESS_CREDENTIAL.type })
      .setSubject(instance)
      .setIssuer(EGRESS_CREDENTIAL.issuer)
      .setAudience(EGRESS_CREDENTIAL.audience)
      .setIssuedAt()
      .setExpirationTime(`${EGRESS_CREDENTIAL.maxAgeS}s`)
      .sign(key);
    return `http://${instance}:${token}@${address}`;
  };
}
