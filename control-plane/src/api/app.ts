// The management API on one page: middleware in their order, then the routes.

import { HTTPException } from "hono/http-exception";
import { z } from "zod";
import { PROBLEM_TYPE, PlatformError, toProblem } from "../contract/errors.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import type { LogReader } from "../logs/read/log-reader.ts";
import { accountRoutes, type AccountDeps } from "./routes/tenants.ts";
import { authenticate, requestId } from "./frame/authenticate.ts";
import { buildRoutes, type BuildDeps } from "./routes/builds.ts";
import { createDocument } from "./frame/document.ts";
import { createRouter } from "./frame/router.ts";
import { egressRoutes, type EgressDeps } from "./routes/egress.ts";
import { functionRoutes, type FunctionDeps } from "./routes/functions.ts";
import { logRoutes } from "./routes/logs.ts";
import { operatorRoutes, type OperatorDeps } from "./routes/conditions.ts";

export interface ApiDeps extends AccountDeps, BuildDeps, EgressDeps, FunctionDeps, OperatorDeps {
  system: Pick<SystemDatabase, "tokenByHash">;
  published: EgressDeps["published"];
  logs: LogReader;
  onError(error: unknown, requestId: string): void;
}
const INFO = {
  openapi: "3.1.0",
  info: { title: "fnctl", version: "1", description: "Management API of the fnctl function platform." },
} as const;

export function createApi(deps: ApiDeps) {
  const app = createRouter();
  app.use(requestId);
  app.onError((error, c) => {
    const known = normalise(error);
    if (!(known instanceof PlatformError) || known.fault === "system") deps.onError(error, c.get("requestId"));
    const problem = toProblem(known, c.get("requestId"));
    return c.body(JSON.stringify(problem), problem.status as 500, { "content-type": PROBLEM_TYPE });
  });
  app.notFound(() => {
    throw new PlatformError("NOT_FOUND", "The API has no such path.", { hint: "See /v1/openapi.json." });
  });
  app.get("/v1/healthz", (c) => c.json({ status: "ok" }));
  app.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  const document = createDocument(() => app.getOpenAPI31Document(INFO));
  app.get("/v1/openapi.json", document);
  app.use("/v1/*", authenticate(deps.system));
  // The answer to a change waits until gateways know of it, so that the client's next request already sees the change.
  app.use("/v1/*", async (c, next) => {
    await next();
    if (!["GET", "HEAD", "OPTIONS"].includes(c.req.method) && c.res.ok && !c.req.path.startsWith("/v1/blobs/")) await deps.published();
  });
  const all = [accountRoutes, functionRoutes, egressRoutes, buildRoutes, logRoutes, operatorRoutes];
  for (const routes of all) app.route("/", routes(deps));
  return app;
}

function normalise(error: unknown): unknown {
  if (error instanceof z.ZodError) return new PlatformError("BAD_REQUEST", z.prettifyError(error));
  if (error instanceof HTTPException)
    return new PlatformError(error.status === 413 ? "PAYLOAD_TOO_LARGE" : "BAD_REQUEST", error.message || "The request is malformed.");
  return error;
}
