// From a checked request for a function to its exchange: authorise, answer preflights, gather small bodies, send.
import { randomInt } from "node:crypto";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { allows } from "@fnctl/control-plane/contract/rights";
import { noSuchFunction, refusal } from "./authorize.ts";
import { preflightHeaders, responseCorsHeaders } from "../http/cors.ts";
import { Exchange, type ExchangeDeps } from "./exchange.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { addForwarded, addInvocation } from "../http/forwarding.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import { sendProblem } from "../http/problem.ts";
import { gatherBody } from "../http/request-body.ts";
import { forStranger } from "../http/stranger.ts";
import { createStaleMiss, type StaleMissDeps } from "../replica/stale-miss.ts";
import { serverTiming, type RequestContext } from "../http/request-context.ts";
import { pickTarget, type RouteTable } from "../replica/route-table.ts";
import type { TokenTable } from "../replica/token-table.ts";

export interface InvocationDeps {
  routes: RouteTable;
  tokens: TokenTable;
  fleet: Fleet;
  exchange: Omit<ExchangeDeps, "reroute" | "sendProblem">;
  isTrustedProxy: (address: string | undefined) => boolean;
  refuse: (context: RequestContext, error: unknown) => void;
  feed: StaleMissDeps["feed"];
}

export type Invoke = (context: RequestContext, label: string, path: string, prefix: string) => void;

const random = (): number => randomInt(1_000_000) / 1_000_000;

export function createInvoke(deps: InvocationDeps): Invoke {
  const exchangeDeps: ExchangeDeps = {
    ...deps.exchange,
    sendProblem: sendFunctionProblem,
    reroute: (exchange) => start(exchange, exchange.context.route!.functionId),
  };

  const clientGone = (context: RequestContext) => {
    context.code = "CLIENT_CLOSED";
    context.status = 499;
    deps.exchange.finished(context);
  };
  const answerMiss = createStaleMiss({ feed: deps.feed, refuse: deps.refuse, clientGone });

  /** The route as it is now; it may have changed while a body was gathered or a request waited. */
  function start(exchange: Exchange, functionId: string): void {
    const route = deps.routes.byId(functionId);
    if (route === undefined) return exchange.refused(noSuchFunction());
    exchange.context.route = route;
    exchange.run(deps.fleet.forVersion(route, pickTarget(route, random).versionId));
  }

  return (context, label, path, prefix) =>
    answerMiss(context, () => {
      const route = deps.routes.find(label);
      if (route?.access !== "public" && isPreflight(context)) {
        answerPreflight(context);
        deps.exchange.finished(context);
        return undefined;
      }
      const token = route?.access === "public" ? undefined : deps.tokens.find(context.head!.authorization, context.acceptedAt);
      const refused = refusal(route, token);
      if (refused !== undefined || route === undefined) return refused ?? noSuchFunction();
      context.seesFailures = token !== undefined && allows(token.scopes, "read");
      admit(context, route, path, prefix);
      return undefined;
    });

  function admit(context: RequestContext, route: Route, path: string, prefix: string): void {
    const head = context.head!;
    context.route = route;
    const headers = head.headers;
    headers.push("host", head.host);
    // With `public` the client's Authorization is the function's own business; otherwise it was ours and ends here.
    if (route.access === "public" && head.authorization !== undefined) headers.push("authorization", head.authorization);
    addForwarded(headers, context, deps.isTrustedProxy, prefix);
    launch(context, route, path, headers);
  }

  function launch(context: RequestContext, route: Route, path: string, headers: string[]): void {
    const length = context.head!.contentLength;
    const streams = length < 0 || length > GATEWAY_LIMITS.gatherBytes;
    if (streams && length > 0) headers.push("content-length", String(length));
    addInvocation(headers, route);
    if (streams || length === 0) {
      return start(new Exchange(exchangeDeps, context, route, path, headers, undefined), route.functionId);
    }
    if (context.head!.expectsContinue) context.response.writeContinue();
    const exchange = (body: Buffer) => new Exchange(exchangeDeps, context, route, path, headers, body);
    const late = setTimeout(
      () => deps.refuse(context, new PlatformError("REQUEST_TIMEOUT", `The request's body did not arrive within ${route.timeoutMs} ms.`)),
      route.timeoutMs,
    );
    const gone = () => {
      clearTimeout(late);
      clientGone(context);
    };
    context.response.once("close", gone);
    gatherBody(context, (body) => {
      clearTimeout(late);
      context.response.off("close", gone);
      if (!context.finished) start(exchange(body), route.functionId);
    });
  }
}

const isPreflight = (context: RequestContext): boolean =>
  context.method === "OPTIONS" && context.head!.origin !== undefined && context.head!.preflightMethod !== undefined;

/** A public function answers its own preflights; for every other name, whether there is such a function or not, the answer is the same. */
function answerPreflight(context: RequestContext): void {
  const { origin, preflightMethod, preflightHeaders: names } = context.head!;
  context.status = 204;
  context.response.writeHead(204, [...preflightHeaders(origin!, preflightMethod!, names), "x-request-id", context.requestId]);
  context.response.end();
}

/** A browser may read the platform's error only with the function's CORS fields on it. */
function sendFunctionProblem(context: RequestContext, error: PlatformError): void {
  const { route, head } = context;
  const told = context.seesFailures ? error : forStranger(error);
  const extra = ["server-timing", serverTiming(context)];
  if (route?.cors !== undefined && head?.origin !== undefined) extra.push(...responseCorsHeaders(route.cors, head.origin, context.method));
  sendProblem(context, told, extra);
}
