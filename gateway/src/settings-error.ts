// Every problem of the settings in one error, so that an operator mends them in one go.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { z } from "zod";

export function parseSettings<T extends z.ZodType>(schema: T, env: NodeJS.ProcessEnv): z.infer<T> {
  const parsed = schema.safeParse(env);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new PlatformError("INVALID_CONFIG", `The settings are not usable:\n  ${lines.join("\n  ")}`, {
    hint: "Mend these environment variables and start again.",
  });
}
