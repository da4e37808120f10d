// Wires the ingress together. All modules get their dependencies as arguments; none of them reads the environment.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import { dialEndpoint } from "@fnctl/control-plane/contract/endpoint";
import { createAccessLog } from "./observe/access-log.ts";
import { createAdminServer } from "./observe/admin.ts";
import { createLedger } from "./observe/ledger.ts";
import { createApiFront } from "./invoke/api-exchange.ts";
import { startChangeFeed, type FeedHandlers } from "../replica/change-feed.ts";
import { createControlClient } from "./replica/control-client.ts";
import { createFleet, type Fleet } from "./fleet/fleet.ts";
import { createProxyTrust } from "./http/forwarding.ts";
import { createCallChains } from "./invoke/call-chain.ts";
import { createCallDoor } from "./invoke/call-door.ts";
import { createFunctionSource, type FunctionSourceDeps } from "./invoke/function-source.ts";
import { createFront } from "./invoke/front.ts";
import { createHostResolver } from "./http/host.ts";
import { createProbe } from "./invoke/probe.ts";
import { createHttpSource } from "./invoke/http-source.ts";
import { createRun } from "./invoke/run.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { Pace, type PaceLimits } from "@fnctl/control-plane/service/pace";
import { closeListener, openListener, type OpenListener } from "@fnctl/control-plane/service/http/listen";
import { Metrics } from "./measure/metrics.ts";
import { createPublicServer } from "./http/public-server.ts";
import { HeldBytes, type HeldBytesLimits } from "./http/held-bytes.ts";
import { HttpCaller, type Held, type Shared } from "./http/http-caller.ts";
import { createPipeline, type PipelineLimits } from "./http/pipeline.ts";
import { createRouteTable, routesReplica } from "./replica/route-table.ts";
import type { IngressSettings } from "./settings.ts";
import { createSecondLook } from "./replica/stale-miss.ts";
import { createTokenTable, tokensReplica } from "./replica/token-table.ts";
import type { QueueLimits } from "./fleet/version-fleet.ts";

export interface Ingress {
  readonly address: OpenListener["address"];
  /** Reports not ready, stops accepting, finishes running requests, and gives the leases back. */
  drain(): Promise<void>;
}

interface Bounds {
  held: Record<keyof Held, HeldBytesLimits>;
  refusals: PaceLimits;
  stalledWriteMs: number;
}
export interface IngressHooks {
  warn: (message: string, facts: Record<string, unknown>) => void;
  /** Called when a drain was requested over the admin socket. */
  drainAsked?: () => void;
  /** Replaces the contract's queue limits, for tests. */
  queue?: QueueLimits;
  api?: Parameters<typeof createApiFront>[0]["limits"];
  limits?: Partial<PipelineLimits & Bounds & { connections: number }>;
}

const ordersFor = (fleet: Fleet): FeedHandlers => ({
  connected: () => fleet.renewNow(),
  order(change) {
    if (change.type === "recall") fleet.recall(change.leaseId);
    if (change.type === "instance-ended") fleet.instanceEnded(change.instance, change.reason);
  },
});

/** Where invocations come from: clients, and functions that call others. */
const sourcesOf = (deps: Parameters<typeof createHttpSource>[0] & Pick<FunctionSourceDeps, "routes">, secret: string) => ({
  invoke: createHttpSource(deps),
  fromFunction: createFunctionSource({ ...deps, chains: createCallChains(secret) }),
});

/** What bounds all clients together, and each address. */
const boundsOf = (limits: Bounds) => ({
  held: { bodies: new HeldBytes(limits.held.bodies), answers: new HeldBytes(limits.held.answers) },
  refusals: new Pace(limits.refusals),
  stalledWriteMs: limits.stalledWriteMs,
});

export async function startIngress(settings: IngressSettings, secret: string, hooks: IngressHooks): Promise<Ingress> {
  const { warn } = hooks;
  const [limits, metrics] = [{ ...GATEWAY_LIMITS, ...hooks.limits }, new Metrics()];
  const accessLog = createAccessLog(settings.accessLog, metrics);
  const ledger = createLedger({ metrics, accessLog, warn });
  const ca = settings.caFile === undefined ? undefined : readFileSync(settings.caFile, "utf8");
  const control = createControlClient({ dial: dialEndpoint(settings.control, ca), secret, gateway: settings.gatewayId });
  const [routes, tokens] = [createRouteTable(), createTokenTable()];
  const fleet = createFleet({ control, metrics, warn, queue: hooks.queue, controlIsThere: () => feed.connected });
  const isTrustedProxy = createProxyTrust(settings.trustedProxies);
  let draining = false;
  function routesChanged(functionId: string | undefined): void {
    for (const retired of fleet.retireExcept(routes.liveVersions(functionId), functionId))
      for (const waiter of retired.waiters) waiter.moveOn();
  }

  const feed = startChangeFeed({
    control,
    topics: [routesReplica(routes, routesChanged), tokensReplica(tokens)],
    metrics,
    warn,
    handlers: ordersFor(fleet),
  });

  const bounds = boundsOf(limits);
  const run = createRun({ routes, fleet, metrics });
  const api = createApiFront({ dial: dialEndpoint(settings.api, ca), metrics, tokens, isTrustedProxy, limits: hooks.api });
  const front = createFront({
    resolveHost: createHostResolver(settings),
    pathRoutes: settings.pathRoutes,
    ...sourcesOf({ routes, tokens, secondLook: createSecondLook(feed), isTrustedProxy, run }, secret),
    api: api.relay,
  });
  function handle(request: IncomingMessage, response: ServerResponse): void {
    if (draining) response.shouldKeepAlive = false;
    front(new HttpCaller(request, response, shared));
  }
  const pipeline = createPipeline({ metrics, isTrustedProxy, limits, serve: handle });
  const shared: Shared = { ledger, metrics, ...bounds, isTrustedProxy, answered: pipeline.answered };
  const server = createPublicServer({ connections: limits.connections, handle: pipeline.take, metrics, isTrustedProxy });

  const admin = createAdminServer({
    secret,
    metrics,
    gauges: () => ({
      routes: routes.size,
      tokens: tokens.size,
      ...fleet.counts(),
      heldBytes: bounds.held.bodies.bytes + bounds.held.answers.bytes,
      feedConnected: feed.connected,
    }),
    state: () => (draining ? "draining" : feed.primed ? "ready" : "starting"),
    drain: () => hooks.drainAsked?.(),
    probe: createProbe({ routes, ledger, functionDomain: settings.functionDomain, run }),
  });
  const doors = settings.calls === undefined ? [] : [await openListener(createCallDoor(secret, server), settings.calls, { mode: 0o660 })];
  const adminListener = await openListener(admin, settings.admin, { mode: 0o660 });
  const listener = await openListener(server, settings.listen, { mode: 0o666 });

  async function drain(): Promise<void> {
    if (draining) return;
    draining = true;
    await new Promise((resolve) => setTimeout(resolve, settings.drainDelayMs));
    const closed = [listener, ...doors].map(closeListener);
    await answered(server, () => metrics.inFlight);
    await fleet.releaseAll();
    server.closeAllConnections();
    await Promise.all(closed);
    await feed.stop();
    admin.closeAllConnections();
    await closeListener(adminListener);
    await Promise.all([api.close(), control.close(), accessLog.flush()]);
  }
  return { address: listener.address, drain };
}

/** Resolves when no request is under way, or after the longest wait for it. */
async function answered(server: Server, inFlight: () => number): Promise<void> {
  server.closeIdleConnections();
  const end = performance.now() + GATEWAY_LIMITS.drainMs;
  while (inFlight() > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.closeIdleConnections();
  }
}
