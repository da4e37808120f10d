// Tenants, as operators see them. A tenant comes with its first token, in one transaction.
import type { PrivateRange } from "../contract/egress-rules.ts";
import { PlatformError } from "../contract/errors.ts";
import type { Actor } from "../db/change.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import { newId } from "../service/uuid7.ts";
import { freshToken } from "./token-store.ts";
import { givenToken } from "./token.ts";

const noSuchTenant = (): PlatformError => new PlatformError("NOT_FOUND", "There is no such tenant.");
type Risk = "standard" | "elevated";
export interface WantedTenant {
  slug: string;
  risk: Risk;
  /** Name of the tenant's first token. */
  tokenName: string;
}
export interface FirstTenant {
  slug: string;
  /** Name of both tokens. */
  tokenName: string;
  /** Of the tenant's token, and of the platform's first operator token. */
  secret: string;
  operatorSecret: string;
}

type TenantSource = Pick<
  SystemDatabase,
  "createTenant" | "createFirstTenant" | "raiseTenant" | "tenantById" | "egressCeilingOf" | "setEgressCeiling"
>;
export function createTenantStore(system: TenantSource) {
  async function get(id: string) {
    const tenant = await system.tenantById(id);
    if (tenant === undefined) throw noSuchTenant();
    return tenant;
  }
  return {
    /** Throws NOT_FOUND. */
    get,

    /** Throws CONFLICT when the slug is taken. */
    async create({ slug, risk, tokenName }: WantedTenant, actor: Actor) {
      const token = freshToken({ name: tokenName, scopes: ["admin"], expiresAt: null });
      const tenant = await system.createTenant({ id: newId(), slug, risk, token: token.row }, actor);
      if (tenant === undefined) throw new PlatformError("CONFLICT", `The tenant ${slug} exists already.`);
      return { tenant, token };
    },

    /** Once for a platform, and again with the same secrets. Throws CONFLICT when it was done with others, or the slug is taken. */
    async createFirst({ slug, tokenName, secret, operatorSecret }: FirstTenant) {
      const token = freshToken({ name: tokenName, scopes: ["admin"], expiresAt: null }, givenToken(secret)).row;
      const { prefix, hash } = givenToken(operatorSecret);
      const operator = { id: newId(), name: tokenName, prefix, hash };
      const tenant = await system.createFirstTenant({ id: newId(), slug, risk: "standard", token }, operator);
      if (tenant !== undefined) return tenant;
      throw new PlatformError("CONFLICT", "The platform has its first tenant and operator's token already.", {
        hint: "Make other tenants with the operator's token: POST /v1/tenants.",
      });
    },

    /** Private addresses that are open to its functions. Throws NOT_FOUND. */
    async egressCeiling(id: string): Promise<PrivateRange[]> {
      await get(id);
      return system.egressCeilingOf(id);
    },
    async setEgressCeiling(id: string, ranges: PrivateRange[], actor: Actor): Promise<void> {
      if (!(await system.setEgressCeiling(id, ranges, actor))) throw noSuchTenant();
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
