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

/** The tenant of the caller, if the token allows `scope`; FORBIDDEN otherwise. */
export function tenantOf(c: ApiContext, scope: Scope): string {
  const owner = c.get("owner");
  if (owner.tenantId === null)
    throw new PlatformError("FORBIDDEN", "An operator's token does not act for a tenant.", {
      hint: "Sign in with a token of the tenant: fnctl login.",
    });
  if (!allows(owner.scopes, scope)) throw new PlatformError("FORBIDDEN", `This token lacks the scope ${scope}.`);
  return owner.tenantId;
}

/** The tenant and token in whose name a change is made, if the token allows `scope`; FORBIDDEN otherwise. */
export const callerOf = (c: ApiContext, scope: Scope): Caller => ({ tenantId: tenantOf(c, scope), actor: actorOf(c) });
export const actorOf = (c: ApiContext): Actor => ({ kind: "token", tokenId: c.get("owner").tokenId });

export function requireOperator(c: ApiContext): void {
  if (!c.get("owner").scopes.includes("operator")) throw new PlatformError("FORBIDDEN", "This needs an operator's token.");
}
