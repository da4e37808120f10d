// The environment is read once, in `main`, through a parameter. All problems are reported together.
import { z } from "zod";

/** Parses `environment` by `schema`; throws one error that names every bad setting. */
export function readSettings<T extends z.ZodType>(schema: T, environment: Record<string, string | undefined>): z.infer<T> {
  const parsed = schema.safeParse(environment);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`These settings are missing or wrong:\n${lines.join("\n")}`);
}

export const absolutePath = z.string().startsWith("/", "an absolute path");
export const wholeNumber = z.string().regex(/^\d+$/, "a whole number").transform(Number);
