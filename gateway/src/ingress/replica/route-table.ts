// All routes, in memory: by host label for requests, by id for changes. A snapshot replaces the whole table at once.
import type { Route } from "@fnctl/control-plane/contract/internal";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import type { ReplicaTopic } from "./replica-topic.ts";

export interface RouteTable {
  find(label: string): Route | undefined;
  byId(functionId: string): Route | undefined;
  set(route: Route): void;
  remove(functionId: string): Route | undefined;
  replaceAll(routes: Iterable<Route>): void;
  /** Ids of the versions in the routes of one function, or of all when it is undefined. */
  liveVersions(functionId: string | undefined): Set<string>;
  readonly size: number;
}

const labelOf = (route: Route): string => hostLabel(route.function, route.tenant);

export function createRouteTable(): RouteTable {
  let byLabel = new Map<string, Route>();
  let byId = new Map<string, Route>();

  function remove(functionId: string): Route | undefined {
    const route = byId.get(functionId);
    if (route === undefined) return undefined;
    byId.delete(functionId);
    // By now the label may belong to a newer function of the same name.
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
    replaceAll(routes) {
      byLabel = new Map();
      byId = new Map();
      for (const route of routes) set(route);
    },
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

/** `changed` is called with the id of a changed function, or with undefined when all may have changed. */
export const routesReplica = (routes: RouteTable, changed: (functionId: string | undefined) => void): ReplicaTopic => ({
  apply(change) {
    if (change.type === "route") {
      routes.set(change.route);
      changed(change.route.functionId);
    } else if (change.type === "route-removed") {
      routes.remove(change.functionId);
      changed(change.functionId);
    } else return false;
    return true;
  },
  gather() {
    const found = new Map<string, Route>();
    return {
      add(change) {
        if (change.type === "route") found.set(change.route.functionId, change.route);
        else if (change.type === "route-removed") found.delete(change.functionId);
        else return false;
        return true;
      },
      swap() {
        routes.replaceAll(found.values());
        changed(undefined);
      },
    };
  },
});

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
