// The environment is read once, in `main`, through a parameter. All problems are reported together.
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";

/** Parses `environment` by `schema`; throws one INVALID_CONFIG that names every bad setting, so that an operator can fix all at once. */
export function readSettings<T extends z.ZodType>(schema: T, environment: Record<string, string | undefined>): z.infer<T> {
  const parsed = schema.safeParse(environment);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new PlatformError("INVALID_CONFIG", `These settings are missing or wrong:\n${lines.join("\n")}`, {
    hint: "Mend these environment variables and start again.",
  });
}

export const absolutePath = z.string().startsWith("/", "an absolute path");
export const wholeNumber = z.string().regex(/^\d+$/, "a whole number").transform(Number);
