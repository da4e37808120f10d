// The first tenant and the first tokens of a fresh platform. This works once; later tenants are made with the operator's token.
import type { z } from "zod";
import type { bootstrapRequestSchema, bootstrapResponseSchema } from "../contract/internal.ts";
import type { TenantStore } from "./tenant-store.ts";

/** `published` resolves when gateways know the new tokens. */
export function createBootstrap(tenants: TenantStore, published: () => Promise<unknown>) {
  return async ({ tenant: slug, ...tokens }: z.infer<typeof bootstrapRequestSchema>): Promise<z.infer<typeof bootstrapResponseSchema>> => {
    const tenant = await tenants.createFirst({ slug, ...tokens });
    await published();
    return { tenantId: tenant.id, tenant: tenant.slug };
  };
}
