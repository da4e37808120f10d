import { schemaText } from "../project/json-schema.ts";
import type { Register } from "../session.ts";

export const schema: Register = (program, io) => {
  program
    .command("schema")
    .description("print the JSON Schema of fnctl.yaml")
    .action(() => void io.stdout.write(schemaText()));
};
