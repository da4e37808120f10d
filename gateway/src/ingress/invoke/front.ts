// The strict HTTP front: every request of the public listener comes through here first (SECURITY D1, D4, D8, D9).
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import type { HostKind } from "../http/host.ts";
import { callerOf } from "../http/from-function.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import { readHead, type RequestHead } from "../http/request-head.ts";
import { isReservedPath, readPath, readPathRoute } from "../http/request-path.ts";
import type { FunctionSource } from "./function-source.ts";
import type { HttpSource } from "./http-source.ts";
import { newRequestId } from "../call/request-id.ts";

export interface FrontDeps {
  resolveHost: (header: string) => HostKind;
  pathRoutes: boolean;
  invoke: HttpSource;
  fromFunction: FunctionSource;
  api: (caller: HttpCaller) => void;
}

const notFound = (): PlatformError =>
  new PlatformError("NOT_FOUND", "Nothing is served at this path.", {
    hint: "The API is below /v1/, functions below /fn/<tenant>/<function>/ or at their own host.",
  });

export function createFront(deps: FrontDeps): (caller: HttpCaller) => void {
  return (caller) => {
    const from = callerOf(caller.request.socket);
    if (from !== undefined) return deps.fromFunction(caller, from);
    try {
      takeHead(caller, readHead(caller.request));
      route(deps, caller);
    } catch (error) {
      caller.call.fail(error);
    }
  };
}

/** Stores the head and sets the request id: the client's if it is usable, otherwise a new one. */
export function takeHead(caller: HttpCaller, head: RequestHead): void {
  caller.head = head;
  caller.call.requestId = head.requestId ?? newRequestId();
  caller.call.origin = head.origin;
}

function route(deps: FrontDeps, caller: HttpCaller): void {
  const { method, target } = caller.call;
  checkMethod(method);
  const path = readPath(target);
  const host = deps.resolveHost(caller.head!.host);
  switch (host.kind) {
    case "function":
      refuseReserved(path);
      return deps.invoke(caller, { label: host.label, path: target, prefix: "" });
    case "api":
      return routeApiHost(deps, caller, path, host.loopback);
    case "unknown":
      throw new PlatformError("MISDIRECTED_REQUEST", "This address serves no such host.", {
        hint: "Check the Host header, or FNCTL_API_HOSTS and FNCTL_FUNCTION_DOMAIN.",
      });
    default:
      throw new PlatformError("BAD_REQUEST", "The Host field is no host name.");
  }
}

function routeApiHost(deps: FrontDeps, caller: HttpCaller, path: string, loopback: boolean): void {
  if (path.startsWith("/v1/")) return deps.api(caller);
  const byPath = deps.pathRoutes ? readPathRoute(path, caller.call.target) : undefined;
  if (byPath === undefined) throw notFound();
  const query = byPath.rest.indexOf("?");
  refuseReserved(query === -1 ? byPath.rest : byPath.rest.slice(0, query));
  caller.call.sharesOrigin = true;
  if (!loopback) sandbox(caller);
  deps.invoke(caller, { label: hostLabel(byPath.function, byPath.tenant), path: byPath.rest, prefix: byPath.prefix });
}

/** All path routes of a public name share one origin: cookies are removed both ways, and scripts run without that origin (SECURITY I4). */
function sandbox({ call, head }: HttpCaller): void {
  call.sandboxed = true;
  const { headers } = head!;
  for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i] === "cookie") headers.splice(i, 2);
}

export function checkMethod(method: string): void {
  if (method === "TRACE" || method === "CONNECT") throw new PlatformError("METHOD_NOT_ALLOWED", `${method} is not served.`);
}

export function refuseReserved(path: string): void {
  if (isReservedPath(path)) throw notFound();
}
