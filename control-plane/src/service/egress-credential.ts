// The one place that checks egress credentials (SECURITY E1): algorithm, type, issuer, audience and age are all checked. The proxy reads what sandboxes
// show, and the control plane what is to be renewed.
import { jwtVerify } from "jose";
import type { z } from "zod";
import { EGRESS_CREDENTIAL, egressClaimsSchema, egressKey } from "../contract/egress-credential.ts";

export type EgressClaims = z.infer<typeof egressClaimsSchema>;

/** Resolves with undefined for anything but a good credential; why is not told. */
export function createEgressCredentialReader(internalSecret: string): (credential: string) => Promise<EgressClaims | undefined> {
  const key = egressKey(internalSecret);
  const { algorithm, issuer, audience, type, maxAgeS } = EGRESS_CREDENTIAL;
  const expected = { algorithms: [algorithm], issuer, audience, typ: type, maxTokenAge: maxAgeS, requiredClaims: ["sub", "exp", "iat"] };
  return async (credential) => {
    const verified = await jwtVerify(credential, key, expected).catch(() => undefined);
    return egressClaimsSchema.safeParse(verified?.payload).data;
  };
}
