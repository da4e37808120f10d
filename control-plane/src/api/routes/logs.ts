// Logs of functions, read from the collector, so that they can be read while the function has no instance.
import { Readable } from "node:stream";
import { z } from "zod";
import { LIMITS } from "../../contract/limits.ts";
import { logQuerySchema } from "../../contract/logs.ts";
import { slugSchema } from "../../contract/names.ts";
import type { FunctionStore } from "../../functions/function-store.ts";
import { tenantOf } from "../frame/context.ts";
import type { LogReader } from "../../logs/read/log-reader.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";
import { NDJSON, PROBLEMS, stream } from "../frame/responses.ts";

const READ_LOGS = operation("read", {
  method: "get",
  path: "/v1/functions/{name}/logs",
  tags: ["logs"],
  request: { params: z.object({ name: slugSchema }), query: logQuerySchema },
  description: `At most ${LIMITS.logReadsPerTenant} reads of a tenant at a time, those that follow included (RATE_LIMITED), and ${LIMITS.logReads} in all (CAPACITY_UNAVAILABLE).`,
  responses: { ...PROBLEMS, 200: stream("Log records, oldest first") },
});

export function logRoutes({ functions, logs }: { functions: FunctionStore; logs: LogReader }) {
  const app = createRouter();
  app.openapi(READ_LOGS, async (c) => {
    const tenantId = tenantOf(c);
    const { row } = await functions.get(tenantId, c.req.valid("param").name);
    if (c.req.method === "HEAD") return c.body(null, 200, NDJSON) as never; // nobody would read or end the stream of a HEAD request
    const lines = await logs.read(tenantId, row.id, c.req.valid("query"), c.req.raw.signal);
    return c.body(Readable.toWeb(lines) as never, 200, NDJSON) as never;
  });
  return app;
}
