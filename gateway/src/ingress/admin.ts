// The gateway's own internal listener (SECURITY D8): never on the public port. Health is free, the rest asks for the secret.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { PROBLEM_TYPE, PlatformError, toProblem } from "@fnctl/control-plane/contract/errors";
import { createBearerCheck } from "../internal-secret.ts";
import { renderMetrics, type Gauges, type Metrics } from "./metrics.ts";

interface Deps {
  secret: string;
  metrics: Metrics;
  gauges: () => Gauges;
  state: () => "starting" | "ready" | "draining";
  drain: () => void;
}

export function createAdminServer(deps: Deps): Server {
  const authorised = createBearerCheck(deps.secret);
  return createServer((request, response) => {
    request.resume();
    const route = `${request.method} ${request.url}`;
    if (route === "GET /healthz") return health(deps, response);
    if (!authorised(request.headers.authorization))
      return problem(response, new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong."));
    answer(deps, route, request, response);
  });
}

function answer(deps: Deps, route: string, _request: IncomingMessage, response: ServerResponse): void {
  if (route === "GET /metrics") {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
    response.end(renderMetrics(deps.metrics, deps.gauges()));
  } else if (route === "POST /drain") {
    response.writeHead(202).end();
    deps.drain();
  } else problem(response, new PlatformError("NOT_FOUND", "Nothing is served at this path."));
}

/** Ready once the routes are known; they stay known when the control plane goes away. */
function health(deps: Deps, response: ServerResponse): void {
  const state = deps.state();
  const { routes, leases, feedConnected } = deps.gauges();
  response.writeHead(state === "ready" ? 200 : 503, { "content-type": "application/json" });
  response.end(JSON.stringify({ status: state, routes, leases, feedConnected }));
}

function problem(response: ServerResponse, error: PlatformError): void {
  response.writeHead(error.status, { "content-type": PROBLEM_TYPE });
  response.end(JSON.stringify(toProblem(error)));
}
