// A row of the database becomes what ingress must know. Pure.
import type { Route, TokenRecord } from "../contract/internal.ts";
import { requiredIsolation } from "../functions/isolation.ts";
import type { SystemDatabase } from "../db/system-database.ts";

export type LiveRow = NonNullable<Awaited<ReturnType<SystemDatabase["liveFunction"]>>>;
export type TokenRow = Awaited<ReturnType<SystemDatabase["activeTokens"]>>[number];

export function routeOf({ tenant, fn, version }: LiveRow): Route {
  const { access, timeoutMs, idleTimeoutMs, concurrency, min, max, cors, isolation } = version.config;
  return {
    tenantId: tenant.id,
    tenant: tenant.slug,
    functionId: fn.id,
    function: fn.name,
    targets: [{ versionId: version.id, version: version.number, weight: 100 }],
    access,
    isolation: requiredIsolation(tenant.risk, isolation),
    timeoutMs,
    idleTimeoutMs,
    concurrency,
    min,
    max,
    ...(cors === undefined ? {} : { cors }),
  };
}

export function tokenRecordOf(row: TokenRow): TokenRecord {
  return {
    tokenId: row.id,
    hash: row.hash.toString("hex"),
    tenantId: row.tenantId,
    scopes: row.scopes,
    expiresAt: row.expiresAt?.getTime() ?? null,
  };
}
