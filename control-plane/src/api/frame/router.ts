// A router whose input errors become the platform's own problem documents.
import { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiEnv } from "./context.ts";

export function createRouter(): OpenAPIHono<ApiEnv> {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw result.error;
    },
  });
}
