// `node cli/scripts/write-schema.ts` renews cli/schema/fnctl.schema.json; a test says when it is due.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { schemaText } from "../src/project/json-schema.ts";

const folder = path.resolve(import.meta.dirname, "../schema");
await mkdir(folder, { recursive: true });
await writeFile(path.join(folder, "fnctl.schema.json"), schemaText());
