// A registry's token service (distribution, docs/spec/auth/token.md): it checks a password and signs tokens with the allowed actions.
import http from "node:http";
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { SignJWT, exportJWK, generateKeyPair, type CryptoKey, type JWK } from "jose";

export const ISSUER = "token service of the test";
export const SERVICE = "registry of the test";
export const USER = { username: "robot", password: "open sesame" };

export interface Asked {
  scopes: string[];
  service: string | null;
  authorization: string | undefined;
}
interface Access {
  type: string;
  name: string;
  actions: string[];
}
export type TokenService = Awaited<ReturnType<typeof startTokenService>>;

const accessOf = (scope: string): Access => {
  const [type = "", name = "", actions = ""] = scope.split(":");
  return { type, name, actions: actions.split(",") };
};

export async function startTokenService() {
  const asked: Asked[] = [];
  let key: { sign: CryptoKey; jwk: JWK };
  /** Makes a new key, which signs from now on; returns the public keys. */
  async function rotate(): Promise<{ keys: JWK[] }> {
    const kid = randomUUID();
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    key = { sign: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" } };
    return { keys: [key.jwk] };
  }
  const jwks = await rotate();

  const server = http.createServer((request, response) => {
    answer(new URL(request.url ?? "", "http://service").searchParams, request.headers.authorization, response).catch(() =>
      response.destroy(),
    );
  });
  async function answer(query: URLSearchParams, authorization: string | undefined, response: http.ServerResponse): Promise<void> {
    const scopes = query.getAll("scope");
    asked.push({ scopes, service: query.get("service"), authorization });
    if (service.behave(response)) return;
    const expected = `Basic ${Buffer.from(`${USER.username}:${USER.password}`).toString("base64")}`;
    if (authorization !== undefined && authorization !== expected) return void response.writeHead(401).end("who?");
    // Without a password only reading is allowed.
    const access = scopes
      .map(accessOf)
      .map((one) => ({ ...one, actions: authorization === undefined ? one.actions.filter((action) => action === "pull") : one.actions }));
    const token = await new SignJWT({ access: service.grant(access) })
      .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: key.jwk.kid! })
      .setIssuer(ISSUER)
      .setAudience(SERVICE)
      .setSubject(authorization === undefined ? "" : USER.username)
      .setIssuedAt()
      .setNotBefore("-10s")
      .setExpirationTime(service.lifeSeconds > 0 ? `${service.lifeSeconds}s` : `${service.lifeSeconds} seconds`)
      .setJti(randomUUID())
      .sign(key.sign);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ token, expires_in: service.saidSeconds }));
  }
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));

  const service = {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    jwks,
    rotate,
    asked,
    /** The access that a token gets of the access asked for; tests replace this. */
    grant: (access: Access[]): Access[] => access,
    /** Answers instead of giving a token; returns true if it did. */
    behave: (_response: http.ServerResponse): boolean => false,
    lifeSeconds: 300,
    saidSeconds: 300,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
  return service;
}
