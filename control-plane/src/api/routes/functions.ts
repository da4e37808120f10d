// Functions, versions, the live alias.
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { hostLabel, slugSchema } from "../../contract/names.ts";
import { LIMITS } from "../../contract/limits.ts";
import {
  createVersionSchema,
  functionDetailSchema,
  functionSchema,
  page,
  pageQuerySchema,
  setAliasSchema,
  versionSchema,
} from "../../contract/resources.ts";
import type { TenantStore } from "../../accounts/tenant-store.ts";
import type { FunctionStore } from "../../functions/function-store.ts";
import { refuseWeakerIsolation } from "../../functions/isolation.ts";
import { functionResource, versionResource, type Endpoint } from "../../functions/resources.ts";
import type { FreeSpace } from "../../service/free-space.ts";
import type { InstanceTable } from "../../instances/leases/instance-table.ts";
import { callerOf, tenantOf, type ApiContext } from "../frame/context.ts";
import { fromCursor, numberCursor, toPage } from "../frame/cursor.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";
import { PROBLEMS, body, json } from "../frame/responses.ts";
import { onceKey } from "../frame/idempotency.ts";

export interface FunctionDeps {
  freeSpace: Pick<FreeSpace, "require">;
  functions: FunctionStore;
  tenants: TenantStore;
  endpoint: Endpoint;
  instances: InstanceTable;
  enqueueBuild(job: { tenantId: string; buildId: string }): void;
  /** Called when a function is gone from the database, so that its logs and its images' references can be removed too. */
  onRemoved(removed: { tenantId: string; functionId: string; name: string; versions: number[] }): void;
}
const named = { params: z.object({ name: slugSchema }) };

const LIST_FUNCTIONS = operation("read", {
  method: "get",
  path: "/v1/functions",
  tags: ["functions"],
  request: { query: pageQuerySchema },
  responses: { ...PROBLEMS, 200: json(page(functionSchema), "Functions by name") },
});
const READ_FUNCTION = operation("read", {
  method: "get",
  path: "/v1/functions/{name}",
  tags: ["functions"],
  request: named,
  responses: { ...PROBLEMS, 200: json(functionDetailSchema, "One function, what serves it, and its last failure") },
});
const REMOVE_FUNCTION = operation("deploy", {
  method: "delete",
  path: "/v1/functions/{name}",
  tags: ["functions"],
  request: named,
  responses: { ...PROBLEMS, 204: { description: "Removed, with its versions and logs" } },
});
const LIST_VERSIONS = operation("read", {
  method: "get",
  path: "/v1/functions/{name}/versions",
  tags: ["versions"],
  request: { ...named, query: pageQuerySchema },
  responses: { ...PROBLEMS, 200: json(page(versionSchema), "Versions, newest first") },
});
const CREATE_VERSION = operation("deploy", {
  method: "post",
  path: "/v1/functions/{name}/versions",
  tags: ["versions"],
  request: { ...named, ...body(createVersionSchema) },
  responses: { ...PROBLEMS, 201: json(versionSchema, "The version; its build is queued") },
});
const SET_LIVE = operation("deploy", {
  method: "put",
  path: "/v1/functions/{name}/aliases/live",
  tags: ["versions"],
  request: { ...named, ...body(setAliasSchema) },
  responses: { ...PROBLEMS, 200: json(functionSchema, "The function, serving that version") },
});

export function functionRoutes({ freeSpace, functions, tenants, endpoint, instances, enqueueBuild, onRemoved }: FunctionDeps) {
  const app = createRouter();
  const tenantRow = (c: ApiContext) => tenants.get(tenantOf(c));

  app.openapi(LIST_FUNCTIONS, async (c) => {
    const tenant = await tenantRow(c);
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
  });

  app.openapi(READ_FUNCTION, async (c) => {
    const tenant = await tenantRow(c);
    const facts = await functions.get(tenant.id, c.req.valid("param").name);
    const { row, live } = facts;
    const [failure, versions] = await Promise.all([
      functions.lastFailure(tenant.id, row.id),
      live === undefined ? [] : functions.versions(tenant.id, row.name, live.number + 1, 1),
    ]);
    const resource = functionResource(facts, tenant.slug, endpoint);
    c.header("etag", resource.etag);
    const running = instances.ofFunction(row.id).map((instance) => ({
      id: instance.sandbox.id,
      version: instance.version,
      state: instance.state === "ready" ? ("ready" as const) : ("draining" as const),
      startedAt: new Date(instance.sandbox.startedAt).toISOString(),
      slots: instance.slots,
      inUse: instance.inUse,
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
  });

  app.openapi(REMOVE_FUNCTION, async (c) => {
    const caller = callerOf(c);
    const { name } = c.req.valid("param");
    onRemoved({ tenantId: caller.tenantId, name, ...(await functions.remove(caller, name)) });
    return c.body(null, 204);
  });

  app.openapi(LIST_VERSIONS, async (c) => {
    const tenantId = tenantOf(c);
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
  });

  app.openapi(CREATE_VERSION, async (c) => {
    const tenant = await tenantRow(c);
    const { name } = c.req.valid("param");
    const input = c.req.valid("json");
    checkDeploy(tenant, name, input.config.isolation);
    await freeSpace.require();
    const resource = versionSchema.parse(
      await functions.createVersion(
        callerOf(c),
        name,
        { ...input, requestId: c.get("requestId") },
        {
          once: onceKey(c.req.header("idempotency-key"), { name, input }),
          answer: ({ version, build }) => versionResource(version, build, false),
        },
      ),
    );
    enqueueBuild({ tenantId: tenant.id, buildId: resource.build.id });
    return c.json(resource, 201);
  });

  app.openapi(SET_LIVE, async (c) => {
    const tenant = await tenantRow(c);
    const { name } = c.req.valid("param");
    await functions.setLive(callerOf(c), name, c.req.valid("json").version, c.req.header("if-match"));
    return c.json(functionResource(await functions.get(tenant.id, name), tenant.slug, endpoint), 200);
  });
  return app;
}

function checkDeploy(
  tenant: { slug: string; risk: "standard" | "elevated" },
  name: string,
  isolation: "gvisor" | "kata" | undefined,
): void {
  refuseWeakerIsolation(tenant.risk, isolation);
  if (hostLabel(name, tenant.slug).length > LIMITS.hostLabelBytes) {
    throw new PlatformError(
      "INVALID_CONFIG",
      `The name ${name} is too long: ${hostLabel(name, tenant.slug)} must fit in ${LIMITS.hostLabelBytes} bytes.`,
    );
  }
}
