import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { schemaText } from "./json-schema.ts";

test("cli/schema/fnctl.schema.json is up to date (renew it: node cli/scripts/write-schema.ts)", async () => {
  expect(await readFile(path.resolve(import.meta.dirname, "../../schema/fnctl.schema.json"), "utf8")).toBe(schemaText());
});
