// Answers a registry's challenge: Basic (RFC 7617) or a token from its token service (distribution-spec, "Token Authentication").
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";

export interface Credentials {
  username: string;
  password: string;
}
/** Does one plain GET without following redirects, by the caller's HTTP client with its limits. */
export type GetDocument = (url: URL, headers: Record<string, string>) => Promise<Buffer>;

export const CREDENTIALS_HINT = "Check the registry's address and credentials in the platform's settings.";

const tokenSchema = z.object({
  token: z.string().max(16_384).optional(),
  access_token: z.string().max(16_384).optional(),
  /** Seconds; 60 when absent. */
  expires_in: z.number().positive().optional(),
});
/** A token is renewed this long before its end. */
const EARLY_MS = 10_000;
const DEFAULT_LIFE_S = 60;

type Parameters = Record<string, string>;
interface Grant {
  header: string;
  until: number;
  /** The challenge's parameters that the token was asked for with; absent for a password, which does not expire. */
  parameters?: Parameters;
}

export function createAuth(registry: URL, credentials: Credentials | undefined, getDocument: GetDocument) {
  const grants = new Map<string, Grant>();
  const basic =
    credentials === undefined ? undefined : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;

  async function fetchToken(parameters: Parameters, scope: string): Promise<Grant> {
    const { realm: place, service } = parameters;
    if (place === undefined || !URL.canParse(place, registry.href)) throw refused("names no token service");
    const realm = new URL(place, registry);
    if (realm.protocol !== "https:" && registry.protocol === "https:") throw refused("names a token service without TLS");
    if (service !== undefined) realm.searchParams.set("service", service);
    // One `scope` parameter for each repository, because a mount needs rights to two of them (distribution, docs/spec/auth/token.md).
    for (const one of (parameters["scope"] ?? scope).split(" ")) realm.searchParams.append("scope", one);
    const answer = tokenSchema.safeParse(parsed(await getDocument(realm, basic === undefined ? {} : { authorization: basic })));
    const token = answer.data?.token ?? answer.data?.access_token;
    if (token === undefined) throw refused("gives no token");
    return { header: `Bearer ${token}`, until: Date.now() + (answer.data?.expires_in ?? DEFAULT_LIFE_S) * 1000 - EARLY_MS, parameters };
  }

  async function renew(parameters: Parameters, scope: string): Promise<string> {
    const grant = await fetchToken(parameters, scope);
    grants.set(scope, grant);
    return grant.header;
  }

  return {
    /**
     * The Authorization header that the registry is known to want for this scope, before it sends any challenge. An expired token is
     * renewed first: a registry that refuses a large body may close the connection before its 401 is read.
     */
    async headerFor(scope: string): Promise<string | undefined> {
      const known = grants.get(scope);
      if (known === undefined || known.until > Date.now() || known.parameters === undefined) return known?.header;
      return renew(known.parameters, scope);
    },
    /** The Authorization header to send after a 401. `challenges`: the values of its WWW-Authenticate. */
    async answer(challenges: readonly string[], scope: string): Promise<string> {
      const known = challenges.map(splitOnce);
      const bearer = known.find(([scheme]) => scheme === "bearer");
      if (bearer !== undefined) return renew(parametersOf(bearer[1]), scope);
      if (!known.some(([scheme]) => scheme === "basic"))
        throw refused(`asks for ${known[0]?.[0].slice(0, 20) ?? "nothing"}, which is not known here`);
      if (basic === undefined) throw refused("asks for a user name and password, and none are set");
      grants.set(scope, { header: basic, until: Infinity });
      return basic;
    },
  };
}

const parametersOf = (text: string): Parameters =>
  Object.fromEntries([...text.matchAll(/([a-z_]+)="([^"]*)"/gi)].map(([, key = "", value = ""]) => [key, value]));

/** The scheme in lower case, and the rest of the text. */
const splitOnce = (text: string): [string, string] => {
  const at = text.indexOf(" ");
  return at < 0 ? [text.toLowerCase(), ""] : [text.slice(0, at).toLowerCase(), text.slice(at + 1)];
};

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

const refused = (what: string): PlatformError =>
  new PlatformError("UNAVAILABLE", `The image registry ${what}.`, { hint: CREDENTIALS_HINT });
