// Makes invocations from clients' HTTP requests: finds the function, checks the caller's rights, and selects the fields that go to the
// function. The steps are in their order at the end of `createHttpSource`.
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { allows } from "@fnctl/control-plane/contract/rights";
import { preflightHeaders } from "../http/cors.ts";
import { addForwarded } from "../http/forwarding.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import type { RouteTable } from "../replica/route-table.ts";
import type { SecondLook } from "../replica/stale-miss.ts";
import type { TokenTable } from "../replica/token-table.ts";
import { noSuchFunction, refusal } from "./authorize.ts";
import type { Run } from "./run.ts";

interface Deps {
  routes: Pick<RouteTable, "find">;
  tokens: Pick<TokenTable, "find">;
  secondLook: SecondLook;
  isTrustedProxy: (address: string | undefined) => boolean;
  run: Run;
}

/**
 * A function request as found by the front: the function's host label, the path and query that the function sees, and the prefix that a
 * path route removed.
 */
export interface FunctionTarget {
  label: string;
  path: string;
  prefix: string;
}
export type HttpSource = (caller: HttpCaller, target: FunctionTarget) => void;

export function createHttpSource({ routes, tokens, secondLook, isTrustedProxy, run }: Deps): HttpSource {
  /** Sets the call's route, or returns the refusal. */
  function admit({ call, head }: HttpCaller, route: Route | undefined): PlatformError | undefined {
    const token = route?.access === "public" ? undefined : tokens.find(head!.authorization, call.acceptedAt);
    const refused = refusal(route, token);
    if (refused !== undefined || route === undefined) return refused ?? noSuchFunction();
    call.seesFailures = token !== undefined && allows(token.scopes, "read");
    call.route = route;
    return undefined;
  }

  function pass(caller: HttpCaller, route: Route, { path, prefix }: FunctionTarget): void {
    const headers = functionHeaders(caller, route);
    addForwarded(headers, caller, isTrustedProxy, prefix);
    run({ call: caller.call, route, path, headers });
  }

  /** Refuses the call, unless the tables are stale and an update that comes soon lets it in. */
  async function lookAgain(caller: HttpCaller, refused: PlatformError, target: FunctionTarget): Promise<void> {
    const { call } = caller;
    try {
      const still = await secondLook(call, refused, () => admit(caller, routes.find(target.label)));
      if (still !== undefined) call.fail(still);
      else if (call.route !== undefined) pass(caller, call.route, target); // without a route the caller went away meanwhile
    } catch (error) {
      call.fail(error);
    }
  }

  // Avoids promises where nothing is awaited: three of them for each request cost ingress 4 % of its throughput.
  return (caller, target) => {
    const route = routes.find(target.label);
    if (route?.access !== "public" && isPreflight(caller)) return answerPreflight(caller);
    const refused = admit(caller, route);
    if (refused === undefined) pass(caller, route!, target);
    else void lookAgain(caller, refused, target);
  };
}

/** The client's own fields. A public function gets the Authorization field, too; otherwise it was for the platform and is removed. */
function functionHeaders({ head }: HttpCaller, route: Route): string[] {
  const { headers, host, authorization } = head!;
  headers.push("host", host);
  if (route.access === "public" && authorization !== undefined) headers.push("authorization", authorization);
  return headers;
}

const isPreflight = ({ call, head }: HttpCaller): boolean =>
  call.method === "OPTIONS" && head!.origin !== undefined && head!.preflightMethod !== undefined;

/** A public function answers its own preflights; for every other name the answer is the same, whether the function exists or not. */
function answerPreflight({ call, head }: HttpCaller): void {
  const { origin, preflightMethod, preflightHeaders: names } = head!;
  call.status = 204;
  call.caller.writeHead(204, [...preflightHeaders(origin!, preflightMethod!, names), "x-request-id", call.requestId]);
  call.caller.end();
  call.complete();
}
