// Lets operators read and repeat the platform's checks of its own isolation.
import { conditionsSchema, type Condition } from "../../contract/conditions.ts";
import { PROBLEMS, json } from "../frame/responses.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";

export interface OperatorDeps {
  conditions: {
    current(): Condition[];
    /** Runs the checks again. */
    check(): Promise<Condition[]>;
  };
}

const common = { tags: ["operator"], responses: { ...PROBLEMS, 200: json(conditionsSchema, "Conditions") } };
const LIST_CONDITIONS = operation("operator", { ...common, method: "get", path: "/v1/conditions" });
const CHECK_CONDITIONS = operation("operator", { ...common, method: "post", path: "/v1/conditions/check" });

export function operatorRoutes({ conditions }: OperatorDeps) {
  const app = createRouter();
  app.openapi(LIST_CONDITIONS, (c) => {
    return c.json({ conditions: conditions.current() }, 200);
  });
  app.openapi(CHECK_CONDITIONS, async (c) => {
    return c.json({ conditions: await conditions.check() }, 200);
  });
  return app;
}
