// The strict HTTP front: every request of the public listener comes through here first (SECURITY D1, D4, D8, D9).
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import type { HostKind } from "../http/host.ts";
import type { Invoke } from "./invocation.ts";
import type { RequestContext } from "../http/request-context.ts";
import { readHead } from "../http/request-head.ts";
import { isReservedPath, readPath, readPathRoute } from "../http/request-path.ts";

export interface FrontDeps {
  resolveHost: (header: string) => HostKind;
  pathRoutes: boolean;
  invoke: Invoke;
  api: (context: RequestContext) => void;
  refuse: (context: RequestContext, error: unknown) => void;
}

const notFound = (): PlatformError =>
  new PlatformError("NOT_FOUND", "Nothing is served at this path.", {
    hint: "The API is below /v1/, functions below /fn/<tenant>/<function>/ or at their own host.",
  });

export function createFront(deps: FrontDeps): (context: RequestContext) => void {
  return (context) => {
    try {
      context.takeHead(readHead(context.request));
      route(deps, context);
    } catch (error) {
      deps.refuse(context, error);
    }
  };
}

function route(deps: FrontDeps, context: RequestContext): void {
  checkMethod(context.method);
  const path = readPath(context.target);
  const host = deps.resolveHost(context.head!.host);
  switch (host.kind) {
    case "function":
      refuseReserved(path);
      return deps.invoke(context, host.label, context.target, "");
    case "api":
      return routeApiHost(deps, context, path, host.loopback);
    case "unknown":
      throw new PlatformError("MISDIRECTED_REQUEST", "This address serves no such host.", {
        hint: "Check the Host header, or FNCTL_API_HOSTS and FNCTL_FUNCTION_DOMAIN.",
      });
    default:
      throw new PlatformError("BAD_REQUEST", "The Host field is no host name.");
  }
}

function routeApiHost(deps: FrontDeps, context: RequestContext, path: string, loopback: boolean): void {
  if (path.startsWith("/v1/")) return deps.api(context);
  const byPath = deps.pathRoutes ? readPathRoute(path, context.target) : undefined;
  if (byPath === undefined) throw notFound();
  const query = byPath.rest.indexOf("?");
  refuseReserved(query === -1 ? byPath.rest : byPath.rest.slice(0, query));
  context.sharesOrigin = true;
  if (!loopback) sandbox(context);
  deps.invoke(context, hostLabel(byPath.function, byPath.tenant), byPath.rest, byPath.prefix);
}

/** All path routes of a public name share one origin: no cookies in or out, scripts without that origin (SECURITY I4). */
function sandbox(context: RequestContext): void {
  context.sandboxed = true;
  const { headers } = context.head!;
  for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i] === "cookie") headers.splice(i, 2);
}

function checkMethod(method: string): void {
  if (method === "TRACE" || method === "CONNECT") throw new PlatformError("METHOD_NOT_ALLOWED", `${method} is not served.`);
}

function refuseReserved(path: string): void {
  if (isReservedPath(path)) throw notFound();
}
