// The one place that checks egress credentials (SECURITY E1): algorithm, type, issuer, audience and age are all checked.
import { EGRESS_CREDENTIAL, egressClaimsSchema, egressKey } from "@fnctl/control-plane/contract/egress-credential";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { jwtVerify } from "jose";

const BASIC = /^basic +([A-Za-z0-9+/=]{1,8000})$/i;

export type ReadCredential = (proxyAuthorization: string | undefined) => Promise<{ instance: string; source: EgressSource } | undefined>;

/** Returns undefined for anything but a good credential; the reason is not told to the client. */
export function createReadCredential(internalSecret: string): ReadCredential {
  const key = egressKey(internalSecret);
  return async (header) => {
    const encoded = BASIC.exec(header ?? "")?.[1];
    if (encoded === undefined) return undefined;
    const text = Buffer.from(encoded, "base64").toString("latin1");
    const colon = text.indexOf(":");
    try {
      const { payload } = await jwtVerify(text.slice(colon + 1), key, {
        algorithms: [EGRESS_CREDENTIAL.algorithm],
        issuer: EGRESS_CREDENTIAL.issuer,
        audience: EGRESS_CREDENTIAL.audience,
        typ: EGRESS_CREDENTIAL.type,
        maxTokenAge: EGRESS_CREDENTIAL.maxAgeS,
        requiredClaims: ["sub", "exp", "iat"],
      });
      const { sub, source } = egressClaimsSchema.parse(payload);
      return sub === text.slice(0, colon) ? { instance: sub, source } : undefined;
    } catch {
      return undefined;
    }
  };
}
