// Routes: each function that has a live version, with everything a gateway needs to serve it.
import type { Route } from "../../contract/internal.ts";
import type { PageStart, SystemDatabase } from "../../db/system-database.ts";
import { requiredIsolation } from "../../functions/isolation.ts";
import { readPage } from "../page.ts";
import type { Topic } from "../topic.ts";

export type LiveRow = NonNullable<Awaited<ReturnType<SystemDatabase["liveFunction"]>>>;
export interface RouteSource {
  liveFunction(id: string): PromiseLike<LiveRow | undefined>;
  liveFunctionsOf(tenantId: string): PromiseLike<LiveRow[]>;
  /** In the order of tenant and id. */
  liveFunctions(after: PageStart | undefined, most: number): PromiseLike<LiveRow[]>;
}

export const routesTopic = (source: RouteSource): Topic<Route> => ({
  kind: "function",
  audience: "gateways",
  async one(id) {
    const row = await source.liveFunction(id);
    return row === undefined ? undefined : routeOf(row);
  },
  page: (after) =>
    readPage(
      after,
      (start, most) => source.liveFunctions(start, most),
      ({ fn }) => fn,
      routeOf,
    ),
  ofTenant: async (tenantId) => (await source.liveFunctionsOf(tenantId)).map(routeOf), // its slug and its risk are in its routes
  idOf: (route) => route.functionId,
  tenantOf: (route) => route.tenantId,
  changed: (route) => ({ type: "route", route }),
  removed: (functionId) => ({ type: "route-removed", functionId }),
});

function routeOf({ tenant, fn, version }: LiveRow): Route {
  const { access, timeoutMs, idleTimeoutMs, concurrency, min, max, cors, isolation } = version.config;
  return {
    tenantId: tenant.id,
    tenant: tenant.slug,
    functionId: fn.id,
    function: fn.name,
    targets: [{ versionId: version.id, version: version.number, weight: 100 }],
    access,
    isolation: requiredIsolation(tenant.risk, isolation),
    timeoutMs,
    idleTimeoutMs,
    concurrency,
    min,
    max,
    ...(cors === undefined ? {} : { cors }),
  };
}
