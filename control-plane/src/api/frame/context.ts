// What every handler of the management API can count on.
import type { Context } from "hono";
import { PlatformError } from "../../contract/errors.ts";
import { allows } from "../../contract/rights.ts";
import type { Scope } from "../../contract/resources.ts";
import type { Actor, Caller } from "../../db/change.ts";
import type { TokenOwner } from "../../db/system-database.ts";

export interface ApiEnv {
  Variables: { requestId: string; owner: TokenOwner };
}
export type ApiContext = Context<ApiEnv>;

/** Throws FORBIDDEN for an operator's token, and for one that does not allow `scope`. */
export function requireScope(c: ApiContext, scope: Scope): void {
  tenantOf(c);
  if (!allows(c.get("owner").scopes, scope)) throw new PlatformError("FORBIDDEN", `This token lacks the scope ${scope}.`);
}
export function requireOperator(c: ApiContext): void {
  if (!c.get("owner").scopes.includes("operator")) throw new PlatformError("FORBIDDEN", "This needs an operator's token.");
}

/** The tenant of the caller, whose rights the route has judged (`operation`). Throws FORBIDDEN for an operator's token. */
export function tenantOf(c: ApiContext): string {
  const { tenantId } = c.get("owner");
  if (tenantId === null)
    throw new PlatformError("FORBIDDEN", "An operator's token does not act for a tenant.", {
      hint: "Sign in with a token of the tenant: fnctl login.",
    });
  return tenantId;
}

/** The tenant and token in whose name a change is made. */
export const callerOf = (c: ApiContext): Caller => ({ tenantId: tenantOf(c), actor: actorOf(c) });
export const actorOf = (c: ApiContext): Actor => ({ kind: "token", tokenId: c.get("owner").tokenId });
