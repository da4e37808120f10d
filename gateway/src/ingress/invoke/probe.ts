// The operator's own request to a function, which does not use the public listener: it shows whether this gateway reaches the function, and
// what it answers. It works for private functions, too, since it comes over the internal listener.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { hostLabel } from "@fnctl/control-plane/contract/names";
import type { Ledger } from "../call/call.ts";
import { isReservedPath, readPath } from "../http/request-path.ts";
import type { RouteTable } from "../replica/route-table.ts";
import type { Run } from "./run.ts";
import { StoredCaller } from "./stored-caller.ts";
import { newRequestId } from "../call/request-id.ts";

interface Deps {
  routes: Pick<RouteTable, "find">;
  ledger: Ledger;
  functionDomain: string;
  run: Run;
}

export interface ProbeTarget {
  tenant: string;
  function: string;
  /** Path and query that the function sees. */
  path: string;
}
/** Times in milliseconds; `code`: the error code, when the answer is the platform's own; `body`: the answer's first bytes, as UTF-8. */
export interface ProbeReport {
  requestId: string;
  status: number;
  code: string;
  version: number;
  instance: string;
  queueMs: number;
  coldMs: number;
  functionMs: number;
  durationMs: number;
  body: string;
  whole: boolean;
}
/** `asker` aborts when whoever asked has gone: the call ends then. */
export type Probe = (target: ProbeTarget, asker: AbortSignal) => Promise<ProbeReport>;

const notRouted = (): PlatformError => new PlatformError("NOT_FOUND", "This gateway has no route to such a function and path.");

/** Throws NOT_FOUND when this gateway has no route to the function, and BAD_REQUEST for a path that the public listener would refuse. */
export function createProbe({ routes, ledger, functionDomain, run }: Deps): Probe {
  return async (target, asker) => {
    if (isReservedPath(readPath(target.path))) throw notRouted();
    const label = hostLabel(target.function, target.tenant);
    const route = routes.find(label);
    if (route === undefined) throw notRouted();
    const requestId = newRequestId();
    const caller = new StoredCaller({ method: "GET", path: target.path, requestId }, ledger);
    const { call, answer } = caller;
    call.route = route;
    call.seesFailures = true;
    const headers = ["host", `${label}.${functionDomain}`, "user-agent", "fnctl-probe", "accept", "*/*", "x-request-id", requestId];
    asker.addEventListener("abort", () => caller.giveUp(), { once: true });
    run({ call, route, path: target.path, headers });
    const { status, body, whole } = await answer;
    const { code, version, instance, queueMs, coldMs, functionMs, durationMs } = call;
    return { requestId, status, code, version, instance, queueMs, coldMs, functionMs, durationMs, body: body.toString(), whole };
  };
}
