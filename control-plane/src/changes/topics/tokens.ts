// Hashes of tenants' tokens that are not revoked. Gateways refuse expired tokens themselves.
import type { TokenRecord } from "../../contract/internal.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import type { Topic } from "../topic.ts";

export type TokenRow = Awaited<ReturnType<SystemDatabase["activeTokens"]>>[number];
export interface TokenSource {
  activeToken(id: string): PromiseLike<TokenRow | undefined>;
  activeTokens(): PromiseLike<TokenRow[]>;
}

export const tokensTopic = (source: TokenSource): Topic<TokenRecord> => ({
  kind: "token",
  broad: [],
  async one(id) {
    const row = await source.activeToken(id);
    return row === undefined ? undefined : recordOf(row);
  },
  all: async () => (await source.activeTokens()).map(recordOf),
  idOf: (token) => token.tokenId,
  changed: (token) => ({ type: "token", token }),
  removed: (tokenId) => ({ type: "token-removed", tokenId }),
});

const recordOf = (row: TokenRow): TokenRecord => ({
  tokenId: row.id,
  hash: row.hash.toString("hex"),
  tenantId: row.tenantId,
  scopes: row.scopes,
  expiresAt: row.expiresAt?.getTime() ?? null,
});
