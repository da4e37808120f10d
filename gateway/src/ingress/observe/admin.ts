// The gateway's own internal listener (SECURITY D8): never on the public port. Health is free, the rest asks for the secret.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { createBearerCheck } from "@fnctl/control-plane/service/http/authorised";
import { serveJson, type Reply } from "@fnctl/control-plane/service/http/serve";
import { renderMetrics, type Gauges, type Metrics } from "../measure/metrics.ts";

interface Deps {
  secret: string;
  metrics: Metrics;
  gauges: () => Gauges;
  state: () => "starting" | "ready" | "draining";
  drain: () => void;
}

export function createAdminServer(deps: Deps): Server {
  const authorised = createBearerCheck(deps.secret);
  return createServer(
    serveJson((request, response) => {
      request.resume();
      if (request.method === "GET" && request.url === "/healthz") return health(deps);
      if (!authorised(request)) throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
      return answer(deps, request, response);
    }),
  );
}

function answer(deps: Deps, request: IncomingMessage, response: ServerResponse): Reply | undefined {
  switch (`${request.method} ${request.url}`) {
    case "GET /metrics":
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
      response.end(renderMetrics(deps.metrics, deps.gauges()));
      return undefined;
    case "POST /drain":
      deps.drain();
      return { status: 202 };
    default:
      throw new PlatformError("NOT_FOUND", "Nothing is served at this path.");
  }
}

/** Ready once the routes are known; they stay known when the control plane goes away. */
function health(deps: Deps): Reply {
  const state = deps.state();
  const { routes, leases, feedConnected } = deps.gauges();
  return { status: state === "ready" ? 200 : 503, body: { status: state, routes, leases, feedConnected } };
}
