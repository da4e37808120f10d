// Wires the ingress together. Everything below gets what it needs as arguments; nothing here reads the environment.
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import { dialEndpoint } from "@fnctl/control-plane/contract/endpoint";
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Pool } from "undici";
import { createAccessLog } from "./access-log.ts";
import { createAdminServer } from "./admin.ts";
import { ApiRelay } from "./api-relay.ts";
import { startChangeFeed } from "./change-feed.ts";
import { createControlClient } from "./control-client.ts";
import { createFleet } from "./fleet.ts";
import { addForwarded, createProxyTrust } from "./forwarding.ts";
import { createFront } from "./front.ts";
import { createHostResolver } from "./host.ts";
import { createInvoke } from "./invocation.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { closeListener, openListener, type OpenListener } from "../listener.ts";
import { Metrics } from "./metrics.ts";
import { kEnding, sendProblem, type EndingSocket } from "./problem.ts";
import { createPublicServer } from "./public-server.ts";
import { RequestContext } from "./request-context.ts";
import { createRouteTable } from "./route-table.ts";
import type { IngressSettings } from "./settings.ts";
import { createTokenTable } from "./token-table.ts";
import type { QueueLimits } from "./version-fleet.ts";

export interface Ingress {
  readonly address: OpenListener["address"];
  /** Not ready, stop accepting, finish what runs, give the leases back. */
  drain(): Promise<void>;
}

export interface IngressHooks {
  warn: (message: string, facts: Record<string, unknown>) => void;
  /** Somebody asked for a drain over the admin socket. */
  drainAsked?: () => void;
  /** Other limits than the contract's, for tests. */
  queue?: QueueLimits;
}

export async function startIngress(settings: IngressSettings, secret: string, hooks: IngressHooks): Promise<Ingress> {
  const { warn } = hooks;
  const metrics = new Metrics();
  const accessLog = createAccessLog(settings.accessLog, metrics);
  const ca = settings.caFile === undefined ? undefined : readFileSync(settings.caFile, "utf8");
  const control = createControlClient({ dial: dialEndpoint(settings.control, ca), secret });
  const routes = createRouteTable();
  const tokens = createTokenTable();
  const fleet = createFleet({ control, metrics, warn, queue: hooks.queue });
  const isTrustedProxy = createProxyTrust(settings.trustedProxies);
  const apiDial = dialEndpoint(settings.api, ca);
  const apiPool = new Pool(apiDial.origin, {
    connect: apiDial.connect,
    connections: GATEWAY_LIMITS.apiConnections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  let draining = false;

  const feed = startChangeFeed({
    control,
    routes,
    tokens,
    metrics,
    warn,
    listener: {
      connected: () => fleet.renewNow(),
      routesChanged(functionId) {
        for (const retired of fleet.retireExcept(routes.liveVersions(functionId), functionId))
          for (const waiter of retired.waiters) waiter.moveOn();
      },
      recall: (leaseId) => fleet.recall(leaseId),
      instanceEnded: (instance, reason) => fleet.instanceEnded(instance, reason),
    },
  });

  function finished(context: RequestContext): void {
    if (context.finished) return;
    context.finished = true;
    context.durationMs = performance.now() - context.startedAt;
    metrics.inFlight -= 1;
    metrics.bytesIn += context.bytesIn;
    metrics.bytesOut += context.bytesOut;
    metrics.byClass[Math.floor(context.status / 100)]! += 1;
    if (context.code !== "") metrics.countCode(context.code);
    metrics.latency.observe(context.durationMs);
    accessLog.record(context);
  }
  function refuse(context: RequestContext, error: unknown): void {
    if (context.finished) return;
    if (context.requestId === "") context.requestId = crypto.randomUUID();
    if (!context.response.headersSent) sendProblem(context, error);
    else context.response.destroy();
    finished(context);
  }
  const apiDeps = { pool: apiPool, finished, sendProblem: (context: RequestContext, error: PlatformError) => sendProblem(context, error) };
  function api(context: RequestContext): void {
    const head = context.head!;
    metrics.apiRequests += 1;
    head.headers.push("host", head.host);
    if (head.authorization !== undefined) head.headers.push("authorization", head.authorization);
    if (head.contentLength > 0) head.headers.push("content-length", String(head.contentLength));
    addForwarded(head.headers, context, isTrustedProxy, "");
    new ApiRelay(apiDeps, context).run(head.headers);
  }

  const invoke = createInvoke({ routes, tokens, fleet, exchange: { fleet, metrics, finished }, isTrustedProxy, refuse, feed });
  const front = createFront({ resolveHost: createHostResolver(settings), pathRoutes: settings.pathRoutes, invoke, api, refuse });
  function handle(request: IncomingMessage, response: ServerResponse): void {
    if ((request.socket as EndingSocket)[kEnding] === true) return;
    metrics.requests += 1;
    metrics.inFlight += 1;
    if (draining) response.shouldKeepAlive = false;
    front(new RequestContext(request, response));
  }
  const server = createPublicServer({ handle, metrics, isTrustedProxy });

  const admin = createAdminServer({
    secret,
    metrics,
    gauges: () => ({ routes: routes.size, tokens: tokens.size, ...fleet.counts(), feedConnected: feed.connected }),
    state: () => (draining ? "draining" : feed.primed ? "ready" : "starting"),
    drain: () => hooks.drainAsked?.(),
  });
  const adminListener = await openListener(admin, settings.admin, 0o660);
  const listener = await openListener(server, settings.listen, 0o666);

  async function drain(): Promise<void> {
    if (draining) return;
    draining = true;
    await new Promise((resolve) => setTimeout(resolve, settings.drainDelayMs));
    const closed = closeListener(listener);
    server.closeIdleConnections();
    const end = performance.now() + GATEWAY_LIMITS.drainMs;
    while (metrics.inFlight > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      server.closeIdleConnections();
    }
    await fleet.releaseAll();
    server.closeAllConnections();
    await closed;
    await feed.stop();
    admin.closeAllConnections();
    await closeListener(adminListener);
    await Promise.all([apiPool.destroy(), control.close(), accessLog.flush()]);
  }
  return { address: listener.address, drain };
}
