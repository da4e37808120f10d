// The published JSON Schema of `fnctl.yaml` (draft 2020-12, which is what editors' YAML servers read).
import { z } from "zod";
import { multipleSchema, singleSchema } from "./file-schema.ts";

const side = (schema: z.ZodType): Record<string, unknown> => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" });
  return rest;
};

function projectJsonSchema(): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "fnctl.yaml",
    description: "What fnctl deploys: one function, or a map of functions with the folder of each.",
    if: { required: ["functions"] },
    // oxlint-disable-next-line unicorn/no-thenable -- the keyword of JSON Schema
    then: side(multipleSchema),
    else: side(singleSchema),
  };
}

export const schemaText = (): string => `${JSON.stringify(projectJsonSchema(), null, 2)}\n`;
