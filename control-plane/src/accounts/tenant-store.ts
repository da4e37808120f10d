// Tenants, as operators see them. A tenant comes with its first token, in one transaction.
import { PlatformError } from "../contract/errors.ts";
import type { Actor } from "../db/change.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import { newId } from "../service/uuid7.ts";
import { freshToken } from "./token-store.ts";
import { createToken } from "./token.ts";

type Risk = "standard" | "elevated";
export interface WantedTenant {
  slug: string;
  risk: Risk;
  /** Name of the tenant's first token. */
  tokenName: string;
  /** The platform's first operator token is made in the same transaction. */
  withOperator?: boolean;
}

export function createTenantStore(system: Pick<SystemDatabase, "createTenant" | "raiseTenant" | "tenantById">) {
  async function get(id: string) {
    const tenant = await system.tenantById(id);
    if (tenant === undefined) throw new PlatformError("NOT_FOUND", "There is no such tenant.");
    return tenant;
  }
  return {
    /** Throws NOT_FOUND. */
    get,

    /** Throws CONFLICT when the slug is taken. */
    async create({ slug, risk, tokenName, withOperator = false }: WantedTenant, actor: Actor) {
      const token = freshToken({ name: tokenName, scopes: ["admin"], expiresAt: null });
      const operator = withOperator ? createToken() : undefined;
      const operatorToken = operator && { id: newId(), name: tokenName, prefix: operator.prefix, hash: operator.hash };
      const tenant = await system.createTenant({ id: newId(), slug, risk, token: token.row, operatorToken }, actor);
      if (tenant === undefined) throw new PlatformError("CONFLICT", `The tenant ${slug} exists already.`);
      return { tenant, token, operatorSecret: operator?.secret };
    },

    /** A tenant's risk can only be raised; lowering it throws CONFLICT. Setting the risk that it has already changes nothing. */
    async setRisk(id: string, risk: Risk, actor: Actor) {
      const known = await get(id);
      if (risk === known.risk) return known;
      if (risk === "standard")
        throw new PlatformError("CONFLICT", "A tenant's risk is only raised.", {
          hint: "Make a new tenant with standard risk for its functions.",
        });
      return (await system.raiseTenant(id, actor)) ?? known;
    },
  };
}
export type TenantStore = ReturnType<typeof createTenantStore>;
