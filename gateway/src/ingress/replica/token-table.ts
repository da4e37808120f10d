// Tokens by their hash (SECURITY E10). Ingress never holds a token longer than one request, but for a bounded cache that saves the hash.
import { hash } from "node:crypto";
import type { Change, TokenRecord } from "@fnctl/control-plane/contract/internal";
import { GATEWAY_LIMITS } from "../limits.ts";
import { tableTopic, type ReplicaTopic } from "../../replica/replica-topic.ts";

export interface TokenTable {
  /** The record of a valid `Authorization` header, or undefined. `now` in milliseconds since the epoch. */
  find(authorization: string | undefined, now: number): TokenRecord | undefined;
  set(token: TokenRecord): void;
  remove(tokenId: string): void;
  ids(): Iterable<string>;
  readonly size: number;
}

const BEARER = /^Bearer +(fnctl_[A-Za-z0-9_-]{16,256})$/i;

/** A longer header has spaces that nobody needs, and would make the cache's keys as long as its clients like. */
const CACHED_CHARS = 300;

export function createTokenTable(): TokenTable {
  const byHash = new Map<string, TokenRecord>();
  const byId = new Map<string, TokenRecord>();
  // Header to hash, for headers that were valid once. Validity is looked up each time, so revoking needs no flush.
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
    if (authorization.length > CACHED_CHARS) return digest;
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
    ids: () => byId.keys(),
    get size() {
      return byId.size;
    },
  };
}

export const tokensReplica = (tokens: TokenTable): ReplicaTopic => tableTopic(tokens, changeOf);

function changeOf(change: Change): { id: string; item: TokenRecord | undefined } | undefined {
  if (change.type === "token") return { id: change.token.tokenId, item: change.token };
  return change.type === "token-removed" ? { id: change.tokenId, item: undefined } : undefined;
}
