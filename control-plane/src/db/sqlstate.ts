// SQLSTATE is known in this file only (PostgreSQL manual, appendix A).
import { PlatformError } from "../contract/errors.ts";

const RETRYABLE = /^(40001|40P01|57P01|57P02|57P03|08...)$/;
const NETWORK = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT"]);

/** drizzle wraps the driver's error; the code is on the innermost one. */
function codeOf(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as Error & { code?: unknown };
    if (typeof code === "string" && !(at instanceof PlatformError)) return code;
  }
  return undefined;
}

export function isRetryable(error: unknown): boolean {
  return RETRYABLE.test(codeOf(error) ?? "");
}
export const isUniqueViolation = (error: unknown): boolean => codeOf(error) === "23505";
export const isForeignKeyViolation = (error: unknown): boolean => codeOf(error) === "23503";

/** What a caller is told: nothing of the database's inside. */
export function mapDatabaseError(error: unknown): unknown {
  if (error instanceof PlatformError) return error;
  const code = codeOf(error);
  if (code !== undefined && (isRetryable(error) || NETWORK.has(code) || code.startsWith("53") || code === "57014")) {
    return new PlatformError("UNAVAILABLE", "The database does not answer in time.", { hint: "Try again in a moment.", cause: error });
  }
  if (isUniqueViolation(error)) return new PlatformError("CONFLICT", "Something with this name exists already.", { cause: error });
  return error;
}
