// The gateway's internal listener (SECURITY D8), which is never on the public port. Health needs no secret, everything else does.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { createBearerCheck } from "@fnctl/control-plane/service/http/authorised";
import { serveJson, type Reply } from "@fnctl/control-plane/service/http/serve";
import { z } from "zod";
import { renderMetrics, type Gauges, type Metrics } from "../measure/metrics.ts";

interface Deps {
  secret: string;
  metrics: Metrics;
  gauges: () => Gauges;
  state: () => "starting" | "ready" | "draining";
  drain: () => void;
  probe: (target: ProbeTarget, asker: AbortSignal) => Promise<object>;
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

const probeSchema = z.strictObject({ tenant: z.string().max(63), function: z.string().max(63), path: z.string().max(8_000).default("/") });
type ProbeTarget = z.infer<typeof probeSchema>;

async function answer(deps: Deps, request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
  const url = new URL(request.url ?? "/", "http://admin");
  switch (`${request.method} ${url.pathname}`) {
    case "GET /metrics":
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
      response.end(renderMetrics(deps.metrics, deps.gauges()));
      return undefined;
    case "POST /drain":
      deps.drain();
      return { status: 202 };
    case "POST /probe":
      return { body: await deps.probe(probeSchema.parse(Object.fromEntries(url.searchParams)), untilClosed(response)) };
    default:
      throw new PlatformError("NOT_FOUND", "Nothing is served at this path.");
  }
}

function untilClosed(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  return gone.signal;
}

/** Ready once the routes are known; the gateway stays ready when the control plane goes away. */
function health(deps: Deps): Reply {
  const state = deps.state();
  const { routes, leases, feedConnected } = deps.gauges();
  return { status: state === "ready" ? 200 : 503, body: { status: state, routes, leases, feedConnected } };
}
