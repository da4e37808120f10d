// Which versions are live, by the routes.
import type { Route } from "../../contract/internal.ts";

export interface ServedRoutes {
  get(functionId: string): Route | undefined;
}

export function createServed(routes: ServedRoutes) {
  const isLive = (functionId: string, versionId: string): boolean =>
    routes.get(functionId)?.targets.some((target) => target.versionId === versionId) ?? false;
  return {
    isLive,
    /** How many instances of the version are kept even without requests. */
    minOf: (functionId: string, versionId: string): number => (isLive(functionId, versionId) ? (routes.get(functionId)?.min ?? 0) : 0),
  };
}
