// What operators ask about the platform itself.
import { createRoute } from "@hono/zod-openapi";
import { conditionsSchema, type Condition } from "../contract/conditions.ts";
import { requireOperator } from "./context.ts";
import { PROBLEMS, SECURITY, json } from "./responses.ts";
import { createRouter } from "./router.ts";

export interface OperatorDeps {
  conditions: {
    current(): Condition[];
    /** Finds out anew. */
    check(): Promise<Condition[]>;
  };
}

export function operatorRoutes({ conditions }: OperatorDeps) {
  const app = createRouter();
  const common = { tags: ["operator"], security: SECURITY, responses: { ...PROBLEMS, 200: json(conditionsSchema, "Conditions") } };
  app.openapi(createRoute({ ...common, method: "get", path: "/v1/conditions" }), (c) => {
    requireOperator(c);
    return c.json({ conditions: conditions.current() }, 200);
  });
  app.openapi(createRoute({ ...common, method: "post", path: "/v1/conditions/check" }), async (c) => {
    requireOperator(c);
    return c.json({ conditions: await conditions.check() }, 200);
  });
  return app;
}
