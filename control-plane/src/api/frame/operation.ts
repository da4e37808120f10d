// One operation of the API: what it needs, and its description. Rights are judged before a byte of the body is read, so that a token that may
// not do something holds nothing while it does not do it.
import { createRoute, type RouteConfig } from "@hono/zod-openapi";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import type { Scope } from "../../contract/resources.ts";
import { requireOperator, requireScope, type ApiEnv } from "./context.ts";
import { plainJson } from "./json-body.ts";

/** A scope of a tenant's token, an operator's token, or any valid token. */
export type Need = Exclude<Scope, "operator"> | "operator" | "any token";

const SECURITY = [{ token: [] }];

const rights = (need: Need) =>
  createMiddleware<ApiEnv>(async (c, next) => {
    if (need === "operator") requireOperator(c);
    else if (need !== "any token") requireScope(c, need);
    await next();
  });

const small = bodyLimit({
  maxSize: LIMITS.apiBodyBytes,
  onError: () => Promise.reject(new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.apiBodyBytes} bytes.`)),
});

/** A route with its rights. A body that is described is a small document; one that is not is the handler's own to read. */
export function operation<R extends RouteConfig>(need: Need, config: R) {
  const middleware = config.request?.body === undefined ? [rights(need)] : [rights(need), small, plainJson];
  // The middleware adds nothing to the types of a handler, so the route keeps the type of its description.
  return createRoute<R["path"], R>({ ...config, security: SECURITY, middleware });
}
