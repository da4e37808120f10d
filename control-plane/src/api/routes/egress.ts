// A tenant's own rules for what its functions may reach (tenant admins).
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { ownText, ownTextSchema } from "../../contract/egress-rules.ts";
import {
  createEgressRuleSchema,
  egressConnectionSchema,
  egressLogQuerySchema,
  egressRuleSchema,
  egressUsageQuerySchema,
  egressUsageSchema,
  madeEgressRuleSchema,
  page,
} from "../../contract/resources.ts";
import type { EgressRecords } from "../../egress/records.ts";
import type { EgressUsage } from "../../egress/usage.ts";
import type { OwnRules, StoredRule } from "../../egress/own-rules.ts";
import { fromCursor, toPage } from "../frame/cursor.ts";
import { callerOf, tenantOf } from "../frame/context.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";
import { PROBLEMS, body, json } from "../frame/responses.ts";

export interface EgressDeps {
  ownRules: OwnRules;
  egressRecords: Pick<EgressRecords, "list">;
  egressUsage: Pick<EgressUsage, "list">;
  /** Resolves when egress proxies have applied all changes that were committed before, or their time for it is over. */
  published(): Promise<{ egress: boolean }>;
}
const resource = (row: StoredRule): z.infer<typeof egressRuleSchema> => ({
  id: row.id,
  action: row.action,
  rule: ownText(row),
  function: row.function,
  createdAt: row.createdAt.toISOString(),
});

const LIST = operation("read", {
  method: "get",
  path: "/v1/egress/rules",
  tags: ["egress"],
  responses: { ...PROBLEMS, 200: json(z.object({ items: z.array(egressRuleSchema) }), "The tenant's own rules, beside those of versions") },
});
const SET = operation("admin", {
  method: "post",
  path: "/v1/egress/rules",
  tags: ["egress"],
  request: body(createEgressRuleSchema),
  responses: {
    ...PROBLEMS,
    201: json(madeEgressRuleSchema, "The rule, in the place of one of the same target; once applied it holds for open connections too"),
  },
});
const REMOVE = operation("admin", {
  method: "delete",
  path: "/v1/egress/rules/{id}",
  tags: ["egress"],
  request: { params: z.object({ id: z.uuid() }) },
  responses: { ...PROBLEMS, 204: { description: "Removed; what only it allowed is cut" } },
});

const LOG = operation("read", {
  method: "get",
  path: "/v1/egress/log",
  tags: ["egress"],
  request: { query: egressLogQuerySchema },
  responses: { ...PROBLEMS, 200: json(page(egressConnectionSchema), "What functions reached or were refused, the newest first") },
});
const USAGE = operation("read", {
  method: "get",
  path: "/v1/egress/usage",
  tags: ["egress"],
  request: { query: egressUsageQuerySchema },
  responses: {
    ...PROBLEMS,
    200: json(z.object({ items: z.array(egressUsageSchema) }), "What functions moved, by day and function, the newest day first"),
  },
});
type Listed = Awaited<ReturnType<EgressRecords["list"]>>[number];
const connection = ({ record, function: name }: Listed): z.infer<typeof egressConnectionSchema> => {
  const { tenantId: _tenant, functionId: _function, at, ...rest } = record;
  return { ...rest, function: name, at: at.toISOString() };
};

export function egressRoutes({ ownRules, egressRecords, egressUsage, published }: EgressDeps) {
  const app = createRouter();
  app.openapi(LIST, async (c) => c.json({ items: (await ownRules.list(tenantOf(c))).map(resource) }, 200));
  app.openapi(SET, async (c) => {
    const { function: name, ...text } = c.req.valid("json");
    const made = await ownRules.set(callerOf(c), { ...ownTextSchema.parse(text), function: name });
    const { egress: applied } = await published();
    return c.json({ ...resource(made), applied }, 201);
  });
  app.openapi(REMOVE, async (c) => {
    await ownRules.remove(callerOf(c), c.req.valid("param").id);
    return c.body(null, 204);
  });
  app.openapi(LOG, async (c) => {
    const { limit, cursor, ...query } = c.req.valid("query");
    const before = fromCursor(cursor);
    if (before !== undefined && !z.uuid().safeParse(before).success)
      throw new PlatformError("BAD_REQUEST", "The cursor is of another list.");
    const rows = await egressRecords.list(tenantOf(c), { ...query, before, limit: limit + 1 });
    return c.json(
      toPage(rows, limit, ({ record }) => record.id, connection),
      200,
    );
  });
  app.openapi(USAGE, async (c) => c.json({ items: await egressUsage.list(tenantOf(c), c.req.valid("query")) }, 200));
  return app;
}
