// How a sandbox shows its credential (RFC 9110 section 11.7.2): a builder's package managers as user name and password of the proxy's URL, a function's
// sandbox as a bearer token.
import type { EgressClaims } from "@fnctl/control-plane/service/egress-credential";

const BASIC = /^basic +([A-Za-z0-9+/=]{1,8000})$/i;
const BEARER = /^bearer +([A-Za-z0-9_.-]{1,8000})$/i;

export type ReadCredential = (proxyAuthorization: string | undefined) => Promise<EgressClaims | undefined>;

/** Returns undefined for anything but a good credential; the reason is not told to the client. */
export function createReadCredential(read: (credential: string) => Promise<EgressClaims | undefined>): ReadCredential {
  return async (header = "") => {
    const bearer = bearerOf(header);
    if (bearer !== undefined) return read(bearer);
    const encoded = BASIC.exec(header)?.[1];
    if (encoded === undefined) return undefined;
    const text = Buffer.from(encoded, "base64").toString("latin1");
    const colon = text.indexOf(":");
    const claims = await read(text.slice(colon + 1));
    return claims?.sub === text.slice(0, colon) ? claims : undefined;
  };
}
export const bearerOf = (header: string): string | undefined => BEARER.exec(header)?.[1];
