// Hashes of tenants' tokens that are not revoked. Gateways refuse expired tokens themselves.
import type { TokenRecord } from "../../contract/internal.ts";
import type { PageStart, SystemDatabase } from "../../db/system-database.ts";
import { readPage } from "../page.ts";
import type { Topic } from "../topic.ts";

export type TokenRow = Awaited<ReturnType<SystemDatabase["activeTokens"]>>[number];
export interface TokenSource {
  activeToken(id: string): PromiseLike<TokenRow | undefined>;
  /** In the order of tenant and id. */
  activeTokens(after: PageStart | undefined, most: number): PromiseLike<TokenRow[]>;
}

export const tokensTopic = (source: TokenSource): Topic<TokenRecord> => ({
  kind: "token",
  audience: "gateways",
  async one(id) {
    const row = await source.activeToken(id);
    return row === undefined ? undefined : recordOf(row);
  },
  page: (after) =>
    readPage(
      after,
      (start, most) => source.activeTokens(start, most),
      (row) => row,
      recordOf,
    ),
  idOf: (token) => token.tokenId,
  tenantOf: (token) => token.tenantId,
  changed: (token) => ({ type: "token", token }),
  removed: (tokenId) => ({ type: "token-removed", tokenId }),
});

const recordOf = (row: TokenRow): TokenRecord => ({
  tokenId: row.id,
  hash: row.hash.toString("hex"),
  tenantId: row.tenantId,
  scopes: [...new Set(row.scopes)], // rows from before a repeated scope was refused
  expiresAt: row.expiresAt?.getTime() ?? null,
});
