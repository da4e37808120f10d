// All routes in memory: by host label for requests, by id for changes.
import type { Change, Route } from "@fnctl/control-plane/contract/internal";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import { overTable, type ReplicaTopic } from "../../replica/replica-topic.ts";

export interface RouteTable {
  find(label: string): Route | undefined;
  byId(functionId: string): Route | undefined;
  set(route: Route): void;
  remove(functionId: string): Route | undefined;
  ids(): Iterable<string>;
  /** Versions that serve, of one function or of all. */
  liveVersions(functionId: string | undefined): Set<string>;
  readonly size: number;
}

const labelOf = (route: Route): string => hostLabel(route.function, route.tenant);

export function createRouteTable(): RouteTable {
  const byLabel = new Map<string, Route>();
  const byId = new Map<string, Route>();

  function remove(functionId: string): Route | undefined {
    const route = byId.get(functionId);
    if (route === undefined) return undefined;
    byId.delete(functionId);
    // The label may belong to a newer function of the same name already.
    if (byLabel.get(labelOf(route)) === route) byLabel.delete(labelOf(route));
    return route;
  }
  function set(route: Route): void {
    remove(route.functionId);
    byLabel.set(labelOf(route), route);
    byId.set(route.functionId, route);
  }
  return {
    find: (label) => byLabel.get(label),
    byId: (functionId) => byId.get(functionId),
    set,
    remove,
    ids: () => byId.keys(),
    liveVersions(functionId) {
      const versions = new Set<string>();
      const routes = functionId === undefined ? byId.values() : [byId.get(functionId)];
      for (const route of routes) for (const target of route?.targets ?? []) versions.add(target.versionId);
      return versions;
    },
    get size() {
      return byId.size;
    },
  };
}

/** `changed` is told of one function, or of all. */
export const routesReplica = (routes: RouteTable, changed: (functionId: string | undefined) => void): ReplicaTopic => ({
  apply(change) {
    const found = changeOf(change);
    if (found === undefined) return false;
    if (found.item === undefined) routes.remove(found.id);
    else routes.set(found.item);
    changed(found.id);
    return true;
  },
  beginSnapshot: () => overTable(routes, changeOf, () => changed(undefined)),
});

function changeOf(change: Change): { id: string; item: Route | undefined } | undefined {
  if (change.type === "route") return { id: change.route.functionId, item: change.route };
  return change.type === "route-removed" ? { id: change.functionId, item: undefined } : undefined;
}

/** Picks a version by its weight; `random` in [0, 1). */
export function pickTarget(route: Route, random: () => number): Route["targets"][number] {
  const targets = route.targets;
  const first = targets[0]!;
  if (targets.length === 1) return first;
  let total = 0;
  for (const target of targets) total += target.weight;
  let point = random() * total;
  for (const target of targets) {
    point -= target.weight;
    if (point < 0) return target;
  }
  return first;
}
