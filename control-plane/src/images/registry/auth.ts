// Answers a registry's challenge: Basic (RFC 7617) or a token from its token service (distribution-spec, "Token Authentication").
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";

export interface Credentials {
  username: string;
  password: string;
}
/** One plain GET that answers JSON; the caller's HTTP client with its limits. */
export type GetJson = (url: URL, headers: Record<string, string>) => Promise<unknown>;

const tokenSchema = z.object({
  token: z.string().max(16_384).optional(),
  access_token: z.string().max(16_384).optional(),
  /** Seconds; 60 when absent. */
  expires_in: z.number().positive().optional(),
});
/** A token is renewed this long before its end. */
const EARLY_MS = 10_000;
const DEFAULT_LIFE_S = 60;

export function createAuth(registry: URL, credentials: Credentials | undefined, getJson: GetJson) {
  const tokens = new Map<string, { header: string; until: number }>();
  const basic =
    credentials === undefined ? undefined : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;

  async function fetchToken(challenge: Record<string, string>, scope: string): Promise<{ header: string; until: number }> {
    const realm = new URL(challenge["realm"] ?? "", registry);
    if (realm.protocol !== "https:" && registry.protocol === "https:") throw refused("names a token service without TLS");
    if (challenge["service"] !== undefined) realm.searchParams.set("service", challenge["service"]);
    realm.searchParams.set("scope", challenge["scope"] ?? scope);
    const answer = tokenSchema.parse(await getJson(realm, basic === undefined ? {} : { authorization: basic }));
    const token = answer.token ?? answer.access_token;
    if (token === undefined) throw refused("gives no token");
    return { header: `Bearer ${token}`, until: Date.now() + (answer.expires_in ?? DEFAULT_LIFE_S) * 1000 - EARLY_MS };
  }

  return {
    /** What is known to be asked for, before any challenge. */
    headerFor(scope: string): string | undefined {
      const known = tokens.get(scope);
      return known !== undefined && known.until > Date.now() ? known.header : undefined;
    },
    /** After a 401. `challenge`: its WWW-Authenticate. */
    async answer(challenge: string, scope: string): Promise<string> {
      const [scheme, rest] = splitOnce(challenge);
      if (scheme.toLowerCase() === "basic") {
        if (basic === undefined) throw refused("asks for a user name and password, and none are set");
        tokens.set(scope, { header: basic, until: Infinity });
        return basic;
      }
      if (scheme.toLowerCase() !== "bearer") throw refused(`asks for ${scheme.slice(0, 20)}, which is not known here`);
      const parameters = Object.fromEntries([...rest.matchAll(/([a-z_]+)="([^"]*)"/gi)].map(([, key = "", value = ""]) => [key, value]));
      const token = await fetchToken(parameters, scope);
      tokens.set(scope, token);
      return token.header;
    },
  };
}

const splitOnce = (text: string): [string, string] => {
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
};

const refused = (what: string): PlatformError =>
  new PlatformError("UNAVAILABLE", `The image registry ${what}.`, {
    hint: "Check the registry's address and credentials in the platform's settings.",
  });
