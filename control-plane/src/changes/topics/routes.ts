// Routes: each function that has a live version, with everything a gateway needs to serve it.
import type { Route } from "../../contract/internal.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import { requiredIsolation } from "../../functions/isolation.ts";
import type { Topic } from "../topic.ts";

export type LiveRow = NonNullable<Awaited<ReturnType<SystemDatabase["liveFunction"]>>>;
export interface RouteSource {
  liveFunction(id: string): PromiseLike<LiveRow | undefined>;
  liveFunctions(): PromiseLike<LiveRow[]>;
}

export const routesTopic = (source: RouteSource): Topic<Route> => ({
  kind: "function",
  broad: ["tenant"], // a tenant's slug and risk are part of all its routes, and they change seldom
  async one(id) {
    const row = await source.liveFunction(id);
    return row === undefined ? undefined : routeOf(row);
  },
  all: async () => (await source.liveFunctions()).map(routeOf),
  idOf: (route) => route.functionId,
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
