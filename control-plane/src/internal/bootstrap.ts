// The first tenant and the first tokens of a fresh platform. Works once; afterwards an operator's token is the way.
import { PlatformError } from "../contract/errors.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import { newId } from "../ids/uuid7.ts";
import { createToken } from "../tokens/token.ts";

export function createBootstrap(system: SystemDatabase, onTenant: () => Promise<void>) {
  return async (request: { tenant: string; tokenName: string }) => {
    if ((await system.tenantBySlug(request.tenant)) !== undefined)
      throw new PlatformError("CONFLICT", `The tenant ${request.tenant} exists already.`);
    const [tenant] = await system.createTenant({ id: newId(), slug: request.tenant, risk: "standard" });
    if (tenant === undefined) throw new Error("insert returned no row");
    const [own, operator] = [createToken(), createToken()];
    await system.createToken({
      id: newId(),
      tenantId: tenant.id,
      name: request.tokenName,
      prefix: own.prefix,
      hash: own.hash,
      scopes: ["admin"],
    });
    await system.createOperatorToken({ id: newId(), name: request.tokenName, prefix: operator.prefix, hash: operator.hash });
    await onTenant();
    return { tenantId: tenant.id, tenant: tenant.slug, secret: own.secret, operatorSecret: operator.secret };
  };
}
