// Logs of functions, from the collector: readable at zero instances.
import { Readable } from "node:stream";
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { LIMITS } from "../contract/limits.ts";
import { logQuerySchema, type LogQuery } from "../contract/logs.ts";
import { slugSchema } from "../contract/names.ts";
import type { FunctionStore } from "../functions/function-store.ts";
import { tenantOf } from "./context.ts";
import { createRouter } from "./router.ts";
import { NDJSON, PROBLEMS, SECURITY, stream } from "./responses.ts";

export interface LogReader {
  /** ND-JSON of log records, oldest first; endless with `follow`. Ends when `signal` fires. */
  read(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Readable>;
}

export function logRoutes({ functions, logs }: { functions: FunctionStore; logs: LogReader }) {
  const app = createRouter();
  const request = { params: z.object({ name: slugSchema }), query: logQuerySchema };
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/functions/{name}/logs",
      tags: ["logs"],
      security: SECURITY,
      request,
      description: `At most ${LIMITS.logReadsPerTenant} reads of a tenant at a time, those that follow included (RATE_LIMITED), and ${LIMITS.logReads} in all (CAPACITY_UNAVAILABLE).`,
      responses: { ...PROBLEMS, 200: stream("Log records, oldest first") },
    }),
    async (c) => {
      const tenantId = tenantOf(c, "read");
      const { row } = await functions.get(tenantId, c.req.valid("param").name);
      if (c.req.method === "HEAD") return c.body(null, 200, NDJSON) as never; // a stream that nobody would read, nor end
      const lines = await logs.read(tenantId, row.id, c.req.valid("query"), c.req.raw.signal);
      return c.body(Readable.toWeb(lines) as never, 200, NDJSON) as never;
    },
  );
  return app;
}
