// The first tenant and the first tokens of a fresh platform. This works once; later tenants are made with the operator's token.
import { PLATFORM } from "../db/change.ts";
import type { TenantStore } from "./tenant-store.ts";

/** `published` resolves when gateways know the new tokens. */
export function createBootstrap(tenants: TenantStore, published: () => Promise<void>) {
  return async (request: { tenant: string; tokenName: string }) => {
    const wanted = { slug: request.tenant, risk: "standard", tokenName: request.tokenName, withOperator: true } as const;
    const { tenant, token, operatorSecret } = await tenants.create(wanted, PLATFORM);
    await published();
    return { tenantId: tenant.id, tenant: tenant.slug, secret: token.secret, operatorSecret: operatorSecret ?? "" };
  };
}
