// Hides details of a failure that concern only the function's tenant: printed output, stack traces, quotas. A caller who may read the
// function's log sees them here, too; every other caller learns only that the function failed, and where its tenant can look.
import { PlatformError, type ErrorCode } from "@fnctl/control-plane/contract/errors";

const NEUTRAL: Partial<Record<ErrorCode, string>> = {
  INIT_FAILED: "The function could not be loaded.",
  FUNCTION_CRASHED: "The function's instance ended before it answered.",
  FUNCTION_BAD_RESPONSE: "The function's answer is no valid HTTP.",
  QUOTA_EXCEEDED: "The function's tenant runs all that it may.",
  ISOLATION_UNAVAILABLE: "The function cannot be run here now.",
  CONFLICT: "The function cannot be run now.",
};
/** Facts that every caller may see: how long to wait, and in one word how an instance ended (public functions do not set that). */
const SHOWN_FACTS = ["retryAfterSeconds", "reason"];

export function forStranger(error: PlatformError): PlatformError {
  const detail = NEUTRAL[error.code];
  if (detail === undefined) return error;
  const facts = Object.entries(error.facts ?? {}).filter(([name]) => SHOWN_FACTS.includes(name));
  return new PlatformError(error.code, detail, {
    hint: "Its owner finds the reason with `fnctl logs` and `fnctl describe`.",
    facts: facts.length === 0 ? undefined : Object.fromEntries(facts),
    cause: error,
  });
}
