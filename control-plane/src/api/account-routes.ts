// whoami, tenants (operators), tokens (tenant admins).
import { createRoute } from "@hono/zod-openapi";
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import {
  changeTenantSchema,
  createTenantSchema,
  createTokenSchema,
  createdTokenSchema,
  tenantSchema,
  tokenSchema,
  whoamiSchema,
} from "../contract/resources.ts";
import type { TokenStore } from "../accounts/token-store.ts";
import { token } from "../db/schema.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import type { TenantDatabase } from "../db/tenant-database.ts";
import type { Endpoint } from "../functions/resources.ts";
import { notify } from "../functions/notify.ts";
import { newId } from "../ids/uuid7.ts";
import { createToken } from "../tokens/token.ts";
import { requireOperator, tenantOf } from "./context.ts";
import { createRouter } from "./router.ts";
import { PROBLEMS, SECURITY, body, json } from "./responses.ts";

export interface AccountDeps {
  db: TenantDatabase;
  tokens: TokenStore;
  system: SystemDatabase;
  endpoint: Endpoint;
  /** Resolves when every instance of a raised tenant has been looked at; throws UNAVAILABLE when one could not be. */
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

export function accountRoutes({ db, tokens, system, endpoint, raised }: AccountDeps) {
  const app = createRouter();

  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/whoami",
      tags: ["account"],
      security: SECURITY,
      responses: { ...PROBLEMS, 200: json(whoamiSchema, "Who the token belongs to") },
    }),
    async (c) => {
      const owner = c.get("owner");
      const tenant = owner.tenantId === null ? undefined : await system.tenantById(owner.tenantId);
      return c.json(
        {
          tenant: tenant === undefined ? null : tenantResource(tenant),
          token: tokenResource({ ...owner, id: owner.tokenId }),
          endpoint: { domain: endpoint.domain, publicUrl: endpoint.publicUrl },
        },
        200,
      );
    },
  );

  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/tenants",
      tags: ["operator"],
      security: SECURITY,
      request: body(createTenantSchema),
      responses: { ...PROBLEMS, 201: json(tenantSchema.extend({ token: createdTokenSchema }), "The tenant and its first token") },
    }),
    async (c) => {
      requireOperator(c);
      const { slug, risk } = c.req.valid("json");
      if ((await system.tenantBySlug(slug)) !== undefined) throw new PlatformError("CONFLICT", `The tenant ${slug} exists already.`);
      const [tenant] = await system.createTenant({ id: newId(), slug, risk });
      if (tenant === undefined) throw new Error("insert returned no row");
      const fresh = createToken();
      const row = { id: newId(), tenantId: tenant.id, name: "first", prefix: fresh.prefix, hash: fresh.hash, scopes: ["admin" as const] };
      await tokens.create(row);
      return c.json(
        {
          ...tenantResource(tenant),
          token: { ...tokenResource({ ...row, createdAt: new Date(), expiresAt: null }), secret: fresh.secret },
        },
        201,
      );
    },
  );

  app.openapi(
    createRoute({
      method: "patch",
      path: "/v1/tenants/{id}",
      tags: ["operator"],
      security: SECURITY,
      request: { params: z.object({ id: z.uuid() }), ...body(changeTenantSchema) },
      responses: {
        ...PROBLEMS,
        200: json(tenantSchema, "The tenant. With `elevated`, none of its gVisor instances gets a request that comes after this answer"),
      },
    }),
    async (c) => {
      requireOperator(c);
      const { id } = c.req.valid("param");
      const known = await system.tenantById(id);
      if (known === undefined) throw new PlatformError("NOT_FOUND", "There is no such tenant.");
      const { risk } = c.req.valid("json");
      if (known.risk === "elevated" && risk === "standard")
        throw new PlatformError("CONFLICT", "A tenant's risk is only raised.", {
          hint: "Make a new tenant with standard risk for its functions.",
        });
      const changed = (risk === known.risk ? known : await system.raiseTenant(id)) ?? known;
      if (changed.risk === "elevated") await raised(id); // also when it was before: who was told UNAVAILABLE asks again
      return c.json(tenantResource(changed), 200);
    },
  );

  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/tokens",
      tags: ["account"],
      security: SECURITY,
      responses: { ...PROBLEMS, 200: json(z.object({ items: z.array(tokenSchema) }), "Tokens of the tenant, without their secrets") },
    }),
    async (c) => {
      const tenantId = tenantOf(c, "admin");
      const rows = await db.asTenant(tenantId, (tx) =>
        tx
          .select()
          .from(token)
          .where(and(eq(token.tenantId, tenantId), isNull(token.revokedAt)))
          .orderBy(asc(token.createdAt))
          .limit(1000),
      );
      return c.json({ items: rows.map(tokenResource) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/tokens",
      tags: ["account"],
      security: SECURITY,
      request: body(createTokenSchema),
      responses: { ...PROBLEMS, 201: json(createdTokenSchema, "The token; its secret is shown this once") },
    }),
    async (c) => {
      const tenantId = tenantOf(c, "admin");
      const { name, scopes: asked, expiresInSeconds } = c.req.valid("json");
      const scopes = [...new Set(asked)];
      const fresh = createToken();
      const expiresAt = expiresInSeconds === undefined ? null : new Date(Date.now() + expiresInSeconds * 1000);
      const row = { id: newId(), tenantId, name, prefix: fresh.prefix, hash: fresh.hash, scopes, expiresAt, createdAt: new Date() };
      await tokens.create(row);
      return c.json({ ...tokenResource(row), secret: fresh.secret }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: "delete",
      path: "/v1/tokens/{id}",
      tags: ["account"],
      security: SECURITY,
      request: { params: z.object({ id: z.uuid() }) },
      responses: { ...PROBLEMS, 204: { description: "Revoked" } },
    }),
    async (c) => {
      const tenantId = tenantOf(c, "admin");
      const { id } = c.req.valid("param");
      await db.asTenant(tenantId, async (tx) => {
        const rows = await tx
          .update(token)
          .set({ revokedAt: sql`now()` })
          .where(and(eq(token.tenantId, tenantId), eq(token.id, id), isNull(token.revokedAt)))
          .returning({ id: token.id });
        if (rows.length === 0) throw new PlatformError("NOT_FOUND", "There is no such token.");
        await notify(tx, { kind: "token", id });
      });
      return c.body(null, 204);
    },
  );
  return app;
}
