// Rows become resources of the API. Pure.
import { hostLabel } from "../contract/names.ts";
import type { FunctionResource, Version } from "../contract/resources.ts";
import type { build, fn, version } from "../db/schema.ts";

export type FunctionRow = typeof fn.$inferSelect;
export type VersionRow = typeof version.$inferSelect;
export type BuildRow = typeof build.$inferSelect;

export interface Endpoint {
  /** Domain of function hosts, e.g. `localhost`. */
  domain: string;
  /** Where clients reach the gateway, e.g. `http://localhost:8080`. */
  publicUrl: string;
}

/** A function as it is listed: its row, its live version, and the state of its newest version. */
export interface FunctionFacts {
  row: FunctionRow;
  live: VersionRow | undefined;
  newest: VersionRow["state"] | undefined;
}
const WITHOUT_LIVE = { building: "building", failed: "build-failed", ready: "not-live", superseded: "not-live" } as const;

export function functionResource({ row, live, newest }: FunctionFacts, tenantSlug: string, endpoint: Endpoint): FunctionResource {
  const base = new URL(endpoint.publicUrl);
  const port = base.port === "" ? "" : `:${base.port}`;
  return {
    id: row.id,
    name: row.name,
    runtime: row.runtime,
    createdAt: row.createdAt.toISOString(),
    url: `${base.protocol}//${hostLabel(row.name, tenantSlug)}.${endpoint.domain}${port}/`,
    pathUrl: `${base.origin}/fn/${tenantSlug}/${row.name}/`,
    access: live?.config.access ?? "private",
    liveVersion: live?.number ?? null,
    state: live === undefined ? WITHOUT_LIVE[newest ?? "failed"] : "live",
    etag: `"${row.revision}"`,
  };
}

export function versionResource(row: VersionRow, buildRow: BuildRow, live: boolean): Version {
  return {
    id: row.id,
    number: row.number,
    state: row.state,
    config: row.config,
    sourceDigest: row.sourceDigest,
    imageDigest: row.imageDigest,
    imageBytes: row.imageBytes,
    createdAt: row.createdAt.toISOString(),
    live,
    build: buildResource(buildRow),
  };
}

export function buildResource(row: BuildRow): Version["build"] {
  return {
    id: row.id,
    state: row.state,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
    problem: row.problem,
  };
}
