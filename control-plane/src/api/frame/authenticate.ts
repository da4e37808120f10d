// Finds out who is calling. Every kind of bad token gets the same answer, so that a client learns nothing from the difference (SECURITY
// E10).
import { randomUUID } from "node:crypto";
import { createMiddleware } from "hono/factory";
import { PlatformError } from "../../contract/errors.ts";
import { requestIdSchema } from "../../contract/names.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import { bearerToken, hashToken } from "../../accounts/token.ts";
import type { ApiEnv } from "./context.ts";

export const requestId = createMiddleware<ApiEnv>(async (c, next) => {
  const given = requestIdSchema.safeParse(c.req.header("x-request-id"));
  const id = given.success ? given.data : randomUUID();
  c.set("requestId", id);
  c.header("x-request-id", id);
  await next();
});

export const authenticate = (system: Pick<SystemDatabase, "tokenByHash">) =>
  createMiddleware<ApiEnv>(async (c, next) => {
    const token = bearerToken(c.req.header("authorization"));
    const owner = token === undefined ? undefined : await system.tokenByHash(hashToken(token));
    if (owner === undefined) {
      c.header("www-authenticate", 'Bearer realm="fnctl"');
      throw new PlatformError("UNAUTHENTICATED", "The request carries no valid token.", { hint: "Sign in: fnctl login --token-stdin." });
    }
    c.set("owner", owner);
    await next();
  });
