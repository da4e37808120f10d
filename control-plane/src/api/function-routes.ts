// Functions, versions, the live alias.
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import { hostLabel, slugSchema } from "../contract/names.ts";
import { LIMITS } from "../contract/limits.ts";
import {
  createVersionSchema,
  functionDetailSchema,
  functionSchema,
  page,
  pageQuerySchema,
  setAliasSchema,
  versionSchema,
} from "../contract/resources.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import type { FunctionStore } from "../functions/function-store.ts";
import { refuseLess } from "../functions/isolation.ts";
import { functionResource, versionResource, type Endpoint } from "../functions/resources.ts";
import type { FreeSpace } from "../housekeeping/free-space.ts";
import type { InstanceTable } from "../instances/managed.ts";
import { tenantOf, type ApiContext } from "./context.ts";
import { fromCursor, numberCursor, toPage } from "./cursor.ts";
import { createRouter } from "./router.ts";
import { PROBLEMS, SECURITY, body, json } from "./responses.ts";
import type { Idempotency } from "./idempotency.ts";

export interface FunctionDeps {
  freeSpace: Pick<FreeSpace, "require">;
  functions: FunctionStore;
  system: SystemDatabase;
  endpoint: Endpoint;
  instances: InstanceTable;
  idempotency: Idempotency;
  enqueueBuild(job: { tenantId: string; buildId: string }): void;
  /** A function is gone from the database: what it left elsewhere can go too. */
  onRemoved(removed: { tenantId: string; functionId: string; name: string; versions: number[] }): void;
}
const named = { params: z.object({ name: slugSchema }) };

export function functionRoutes({ freeSpace, functions, system, endpoint, instances, idempotency, enqueueBuild, onRemoved }: FunctionDeps) {
  const app = createRouter();
  async function tenantRow(c: ApiContext, scope: "read" | "deploy" | "admin") {
    const tenant = await system.tenantById(tenantOf(c, scope));
    if (tenant === undefined) throw new PlatformError("NOT_FOUND", "There is no such tenant.");
    return tenant;
  }

  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/functions",
      tags: ["functions"],
      security: SECURITY,
      request: { query: pageQuerySchema },
      responses: { ...PROBLEMS, 200: json(page(functionSchema), "Functions by name") },
    }),
    async (c) => {
      const tenant = await tenantRow(c, "read");
      const { cursor, limit } = c.req.valid("query");
      const rows = await functions.list(tenant.id, fromCursor(cursor), limit + 1);
      return c.json(
        toPage(
          rows,
          limit,
          ({ row }) => row.name,
          (facts) => functionResource(facts, tenant.slug, endpoint),
        ),
        200,
      );
    },
  );

  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/functions/{name}",
      tags: ["functions"],
      security: SECURITY,
      request: named,
      responses: { ...PROBLEMS, 200: json(functionDetailSchema, "One function, what serves it, and its last failure") },
    }),
    async (c) => {
      const tenant = await tenantRow(c, "read");
      const facts = await functions.get(tenant.id, c.req.valid("param").name);
      const { row, live } = facts;
      const [failure, versions] = await Promise.all([
        functions.lastFailure(tenant.id, row.id),
        live === undefined ? [] : functions.versions(tenant.id, row.name, live.number + 1, 1),
      ]);
      const resource = functionResource(facts, tenant.slug, endpoint);
      c.header("etag", resource.etag);
      const running = instances.ofFunction(row.id).map((managed) => ({
        id: managed.instance.id,
        version: managed.version,
        state: managed.state === "ready" ? ("ready" as const) : ("draining" as const),
        startedAt: new Date(managed.instance.startedAt).toISOString(),
        slots: managed.slots,
        inUse: managed.inUse,
      }));
      const first = versions[0];
      return c.json(
        {
          ...resource,
          live: first === undefined ? null : versionResource(first.version, first.build, true),
          instances: running,
          lastFailure:
            failure === undefined
              ? null
              : { at: failure.at.toISOString(), reason: failure.reason, detail: failure.detail, version: failure.version },
        },
        200,
      );
    },
  );

  app.openapi(
    createRoute({
      method: "delete",
      path: "/v1/functions/{name}",
      tags: ["functions"],
      security: SECURITY,
      request: named,
      responses: { ...PROBLEMS, 204: { description: "Removed, with its versions and logs" } },
    }),
    async (c) => {
      const tenant = await tenantRow(c, "deploy");
      const { name } = c.req.valid("param");
      onRemoved({ tenantId: tenant.id, name, ...(await functions.remove(tenant.id, name)) });
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/functions/{name}/versions",
      tags: ["versions"],
      security: SECURITY,
      request: { ...named, query: pageQuerySchema },
      responses: { ...PROBLEMS, 200: json(page(versionSchema), "Versions, newest first") },
    }),
    async (c) => {
      const tenantId = tenantOf(c, "read");
      const { cursor, limit } = c.req.valid("query");
      const before = numberCursor(cursor);
      const rows = await functions.versions(tenantId, c.req.valid("param").name, before, limit + 1);
      return c.json(
        toPage(
          rows,
          limit,
          (row) => String(row.version.number),
          (row) => versionResource(row.version, row.build, row.live),
        ),
        200,
      );
    },
  );

  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/functions/{name}/versions",
      tags: ["versions"],
      security: SECURITY,
      request: { ...named, ...body(createVersionSchema) },
      responses: { ...PROBLEMS, 201: json(versionSchema, "The version; its build is queued") },
    }),
    async (c) => {
      const tenant = await tenantRow(c, "deploy");
      const { name } = c.req.valid("param");
      const input = c.req.valid("json");
      checkDeploy(tenant, name, input.config.isolation);
      await freeSpace.require();
      const { value } = await idempotency.once(tenant.id, c.req.header("idempotency-key"), { name, input }, async () => {
        const made = await functions.createVersion(tenant.id, name, { ...input, requestId: c.get("requestId") });
        enqueueBuild({ tenantId: tenant.id, buildId: made.build.id });
        return { status: 201, value: versionResource(made.version, made.build, false) };
      });
      return c.json(versionSchema.parse(value), 201);
    },
  );

  app.openapi(
    createRoute({
      method: "put",
      path: "/v1/functions/{name}/aliases/live",
      tags: ["versions"],
      security: SECURITY,
      request: { ...named, ...body(setAliasSchema) },
      responses: { ...PROBLEMS, 200: json(functionSchema, "The function, serving that version") },
    }),
    async (c) => {
      const tenant = await tenantRow(c, "deploy");
      const { name } = c.req.valid("param");
      await functions.setLive(tenant.id, name, c.req.valid("json").version, c.req.header("if-match"));
      return c.json(functionResource(await functions.get(tenant.id, name), tenant.slug, endpoint), 200);
    },
  );
  return app;
}

function checkDeploy(
  tenant: { slug: string; risk: "standard" | "elevated" },
  name: string,
  isolation: "gvisor" | "kata" | undefined,
): void {
  refuseLess(tenant.risk, isolation);
  if (hostLabel(name, tenant.slug).length > LIMITS.hostLabelBytes) {
    throw new PlatformError(
      "INVALID_CONFIG",
      `The name ${name} is too long: ${hostLabel(name, tenant.slug)} must fit in ${LIMITS.hostLabelBytes} bytes.`,
    );
  }
}
