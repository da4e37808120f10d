// Tokens by their hash (SECURITY E10). Ingress keeps no token longer than one request, except in a bounded cache that saves hashing it
// again.
import { hash } from "node:crypto";
import type { TokenRecord } from "@fnctl/control-plane/contract/internal";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { ReplicaTopic } from "./replica-topic.ts";

export interface TokenTable {
  /** The record of a valid `Authorization` header, or undefined. `now` in milliseconds since the epoch. */
  find(authorization: string | undefined, now: number): TokenRecord | undefined;
  set(token: TokenRecord): void;
  remove(tokenId: string): void;
  replaceAll(tokens: Iterable<TokenRecord>): void;
  readonly size: number;
}

const BEARER = /^Bearer +(fnctl_[A-Za-z0-9_-]{16,256})$/i;

export function createTokenTable(): TokenTable {
  let byHash = new Map<string, TokenRecord>();
  let byId = new Map<string, TokenRecord>();
  // Maps headers that were valid once to their hash. Validity is looked up each time, so a revoked token need not be removed here.
  const hashes = new Map<string, string>();

  function remove(tokenId: string): void {
    const token = byId.get(tokenId);
    if (token === undefined) return;
    byId.delete(tokenId);
    byHash.delete(token.hash);
  }
  function set(token: TokenRecord): void {
    remove(token.tokenId);
    byId.set(token.tokenId, token);
    byHash.set(token.hash, token);
  }
  function hashOf(authorization: string): string | undefined {
    const known = hashes.get(authorization);
    if (known !== undefined) return known;
    const secret = BEARER.exec(authorization)?.[1];
    if (secret === undefined) return undefined;
    const digest = hash("sha256", secret, "hex");
    if (!byHash.has(digest)) return undefined;
    if (hashes.size >= GATEWAY_LIMITS.tokenCacheEntries) hashes.clear();
    hashes.set(authorization, digest);
    return digest;
  }
  return {
    find(authorization, now) {
      if (authorization === undefined) return undefined;
      const digest = hashOf(authorization);
      if (digest === undefined) return undefined;
      const token = byHash.get(digest);
      return token === undefined || (token.expiresAt !== null && token.expiresAt <= now) ? undefined : token;
    },
    set,
    remove,
    replaceAll(tokens) {
      byHash = new Map();
      byId = new Map();
      for (const token of tokens) set(token);
    },
    get size() {
      return byId.size;
    },
  };
}

export const tokensReplica = (tokens: TokenTable): ReplicaTopic => ({
  apply(change) {
    if (change.type === "token") tokens.set(change.token);
    else if (change.type === "token-removed") tokens.remove(change.tokenId);
    else return false;
    return true;
  },
  gather() {
    const found = new Map<string, TokenRecord>();
    return {
      add(change) {
        if (change.type === "token") found.set(change.token.tokenId, change.token);
        else if (change.type === "token-removed") found.delete(change.tokenId);
        else return false;
        return true;
      },
      swap: () => tokens.replaceAll(found.values()),
    };
  },
});
