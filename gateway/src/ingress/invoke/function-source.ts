// Makes invocations from functions' requests to other functions of their tenant, which need no token: who calls is known by the connection.
import { calledFunction, type CallClaims } from "@fnctl/control-plane/contract/function-calls";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import { INVOCATION_HEADERS } from "@fnctl/control-plane/contract/runtime-protocol";
import { addForwarded } from "../http/forwarding.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import { readHead } from "../http/request-head.ts";
import { readPath } from "../http/request-path.ts";
import type { RouteTable } from "../replica/route-table.ts";
import type { CallChains } from "./call-chain.ts";
import { checkMethod, refuseReserved, takeHead } from "./front.ts";
import type { Run } from "./run.ts";

export interface FunctionSourceDeps {
  routes: Pick<RouteTable, "find" | "byId">;
  chains: CallChains;
  run: Run;
}
export type FunctionSource = (caller: HttpCaller, claims: CallClaims) => void;

export function createFunctionSource({ routes, chains, run }: FunctionSourceDeps): FunctionSource {
  function begin(caller: HttpCaller, { tenantId, functionId, called }: CallClaims): void {
    const { call, request } = caller;
    takeHead(caller, readHead(request));
    checkMethod(call.method);
    refuseReserved(readPath(call.target));
    const { host, headers, authorization } = caller.head!;
    // The proxy has looked at the first request of the connection only.
    if (calledFunction(host.toLowerCase().replace(/:80$/, "")) !== called)
      throw new PlatformError("MISDIRECTED_REQUEST", `This connection is for the function ${called}.`);
    const from = routes.byId(functionId);
    const route = from?.tenantId === tenantId ? routes.find(hostLabel(called, from.tenant)) : undefined;
    if (from === undefined || route?.tenantId !== tenantId)
      throw new PlatformError("NOT_FOUND", `There is no function ${called} that serves.`, { hint: "Look at `fnctl ls`." });
    const chain = chains.next(tenantId, rawField(request.rawHeaders, INVOCATION_HEADERS.chain), from.function, called);
    call.route = route;
    headers.push("host", host);
    if (authorization !== undefined) headers.push("authorization", authorization);
    addForwarded(headers, caller, () => false, "");
    headers.push(INVOCATION_HEADERS.caller, from.function, INVOCATION_HEADERS.chain, chain);
    run({ call, route, path: call.target, headers });
  }
  return (caller, claims) => {
    try {
      begin(caller, claims);
    } catch (error) {
      caller.call.fail(error);
    }
  };
}

/** The only value of a field that `readHead` leaves out, because clients may not set it. Two are as good as none. */
function rawField(raw: readonly string[], name: string): string | undefined {
  const values = raw.filter((_value, at) => at % 2 === 1 && raw[at - 1]!.toLowerCase() === name);
  return values.length === 1 ? values[0] : undefined;
}
