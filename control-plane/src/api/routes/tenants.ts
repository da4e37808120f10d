// whoami, tenants (operators), tokens (tenant admins).
import { z } from "zod";
import {
  changeTenantSchema,
  createTenantSchema,
  createTokenSchema,
  createdTokenSchema,
  egressCeilingSchema,
  tenantSchema,
  tokenSchema,
  whoamiSchema,
} from "../../contract/resources.ts";
import type { TenantStore } from "../../accounts/tenant-store.ts";
import type { TokenStore } from "../../accounts/token-store.ts";
import type { Endpoint } from "../../functions/resources.ts";
import { actorOf, callerOf, tenantOf } from "../frame/context.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";
import { PROBLEMS, body, json } from "../frame/responses.ts";

export interface AccountDeps {
  tenants: TenantStore;
  tokens: TokenStore;
  endpoint: Endpoint;
  /** Resolves when every instance of a raised tenant has been checked; throws UNAVAILABLE when one could not be checked. */
  raised(tenantId: string): Promise<void>;
}
type TokenLike = {
  id: string;
  name: string;
  prefix: string;
  scopes: z.infer<typeof tokenSchema>["scopes"];
  createdAt: Date;
  expiresAt: Date | null;
};
const tokenResource = (row: TokenLike) => ({
  id: row.id,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt?.toISOString() ?? null,
});
const tenantResource = (row: { id: string; slug: string; risk: "standard" | "elevated"; createdAt: Date }) => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
});

const WHOAMI = operation("any token", {
  method: "get",
  path: "/v1/whoami",
  tags: ["account"],
  responses: { ...PROBLEMS, 200: json(whoamiSchema, "Who the token belongs to") },
});
const CREATE_TENANT = operation("operator", {
  method: "post",
  path: "/v1/tenants",
  tags: ["operator"],
  request: body(createTenantSchema),
  responses: { ...PROBLEMS, 201: json(tenantSchema.extend({ token: createdTokenSchema }), "The tenant and its first token") },
});
const CHANGE_TENANT = operation("operator", {
  method: "patch",
  path: "/v1/tenants/{id}",
  tags: ["operator"],
  request: { params: z.object({ id: z.uuid() }), ...body(changeTenantSchema) },
  responses: {
    ...PROBLEMS,
    200: json(tenantSchema, "The tenant. With `elevated`, none of its gVisor instances gets a request that comes after this answer"),
  },
});
const TENANT = { params: z.object({ id: z.uuid() }) };
const GET_CEILING = operation("operator", {
  method: "get",
  path: "/v1/tenants/{id}/egress-ceiling",
  tags: ["operator"],
  request: TENANT,
  responses: { ...PROBLEMS, 200: json(egressCeilingSchema, "Private addresses that the tenant's functions may reach") },
});
const SET_CEILING = operation("operator", {
  method: "put",
  path: "/v1/tenants/{id}/egress-ceiling",
  tags: ["operator"],
  request: { ...TENANT, ...body(egressCeilingSchema) },
  responses: { ...PROBLEMS, 200: json(egressCeilingSchema, "The same; it holds now, for open connections too") },
});
const LIST_TOKENS = operation("admin", {
  method: "get",
  path: "/v1/tokens",
  tags: ["account"],
  responses: { ...PROBLEMS, 200: json(z.object({ items: z.array(tokenSchema) }), "Tokens of the tenant, without their secrets") },
});
const CREATE_TOKEN = operation("admin", {
  method: "post",
  path: "/v1/tokens",
  tags: ["account"],
  request: body(createTokenSchema),
  responses: { ...PROBLEMS, 201: json(createdTokenSchema, "The token; its secret is shown this once") },
});
const REVOKE_TOKEN = operation("admin", {
  method: "delete",
  path: "/v1/tokens/{id}",
  tags: ["account"],
  request: { params: z.object({ id: z.uuid() }) },
  responses: { ...PROBLEMS, 204: { description: "Revoked" } },
});

export function accountRoutes({ tenants, tokens, endpoint, raised }: AccountDeps) {
  const app = createRouter();

  app.openapi(WHOAMI, async (c) => {
    const owner = c.get("owner");
    const tenant = owner.tenantId === null ? undefined : await tenants.get(owner.tenantId);
    return c.json(
      {
        tenant: tenant === undefined ? null : tenantResource(tenant),
        token: tokenResource({ ...owner, id: owner.tokenId }),
        endpoint: { domain: endpoint.domain, publicUrl: endpoint.publicUrl },
      },
      200,
    );
  });

  app.openapi(CREATE_TENANT, async (c) => {
    const { slug, risk } = c.req.valid("json");
    const { tenant, token } = await tenants.create({ slug, risk, tokenName: "first" }, actorOf(c));
    return c.json({ ...tenantResource(tenant), token: { ...tokenResource(token.row), secret: token.secret } }, 201);
  });

  app.openapi(CHANGE_TENANT, async (c) => {
    const { id } = c.req.valid("param");
    const changed = await tenants.setRisk(id, c.req.valid("json").risk, actorOf(c));
    // Also when it was raised before: an operator who got UNAVAILABLE repeats the request.
    if (changed.risk === "elevated") await raised(id);
    return c.json(tenantResource(changed), 200);
  });

  app.openapi(GET_CEILING, async (c) => c.json({ private: await tenants.egressCeiling(c.req.valid("param").id) }, 200));
  app.openapi(SET_CEILING, async (c) => {
    const ceiling = c.req.valid("json");
    await tenants.setEgressCeiling(c.req.valid("param").id, ceiling.private, actorOf(c));
    return c.json(ceiling, 200);
  });

  app.openapi(LIST_TOKENS, async (c) => {
    const rows = await tokens.list(tenantOf(c));
    return c.json({ items: rows.map(tokenResource) }, 200);
  });

  app.openapi(CREATE_TOKEN, async (c) => {
    const caller = callerOf(c);
    const { name, scopes, expiresInSeconds } = c.req.valid("json");
    const expiresAt = expiresInSeconds === undefined ? null : new Date(Date.now() + expiresInSeconds * 1000);
    const { row, secret } = await tokens.create(caller, { name, scopes: [...new Set(scopes)], expiresAt });
    return c.json({ ...tokenResource(row), secret }, 201);
  });

  app.openapi(REVOKE_TOKEN, async (c) => {
    await tokens.revoke(callerOf(c), c.req.valid("param").id);
    return c.body(null, 204);
  });
  return app;
}
