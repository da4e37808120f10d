// Runs the steps of every invocation, in this order: gather a small body, choose the version, wait for a slot, exchange.
import { randomInt } from "node:crypto";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { Deadlines } from "../fleet/deadlines.ts";
import { Departures } from "../fleet/departures.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { UploadShares } from "../fleet/upload-shares.ts";
import type { VersionFleet } from "../fleet/version-fleet.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { pickTarget, type RouteTable } from "../replica/route-table.ts";
import { noSuchFunction } from "./authorize.ts";
import { Exchange, type ExchangeDeps } from "./exchange.ts";
import { gatherBody } from "./gather-body.ts";
import { addInvocationFields, type Invocation } from "./invocation.ts";

interface Deps {
  routes: Pick<RouteTable, "byId">;
  fleet: Fleet;
  metrics: Metrics;
}

/** Never throws: an error ends the call. */
export type Run = (invocation: Invocation) => void;

const random = (): number => randomInt(1_000_000) / 1_000_000;

export function createRun({ routes, fleet, metrics }: Deps): Run {
  /** Chooses by the current route, which may have changed while the body was gathered or the request waited for a slot. */
  function chooseVersion(functionId: string): { route: Route; fleet: VersionFleet } {
    const route = routes.byId(functionId);
    if (route === undefined) throw noSuchFunction();
    return { route, fleet: fleet.forVersion(route, pickTarget(route, random).versionId) };
  }
  const exchange: ExchangeDeps = {
    fleet,
    metrics,
    chooseVersion,
    departures: new Departures(),
    deadlines: new Deadlines(),
    uploads: new UploadShares(),
  };

  function begin(invocation: Invocation, body: Buffer | undefined): void {
    const { call, headers, route } = invocation;
    try {
      if (body === undefined && call.caller.bodyLength > 0) headers.push("content-length", String(call.caller.bodyLength));
      addInvocationFields(headers, route);
      new Exchange(exchange, invocation, body).begin();
    } catch (error) {
      call.fail(error);
    }
  }
  return (invocation) => {
    if (!isSmall(invocation.call.caller.bodyLength)) return begin(invocation, undefined);
    gatherBody(invocation.call, Math.min(invocation.route.timeoutMs, GATEWAY_LIMITS.gatherMs)).then(
      (body) => {
        if (body !== undefined) begin(invocation, body);
      },
      (error: unknown) => invocation.call.fail(error),
    );
  };
}

/** Small bodies are gathered before a slot is taken, so that a slow sender holds no slot. */
const isSmall = (bytes: number): boolean => bytes > 0 && bytes <= GATEWAY_LIMITS.gatherBytes;
