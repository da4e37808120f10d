// What a caller is told of a failure that is the owner's business: what the code printed, its stack, the tenant's quotas. Whoever may read the
// function's log may see it here, too; everybody else learns that it failed, and where its owner looks.
import { PlatformError, type ErrorCode } from "@fnctl/control-plane/contract/errors";

const NEUTRAL: Partial<Record<ErrorCode, string>> = {
  INIT_FAILED: "The function could not be loaded.",
  FUNCTION_CRASHED: "The function's instance ended before it answered.",
  FUNCTION_BAD_RESPONSE: "The function's answer is no valid HTTP.",
  QUOTA_EXCEEDED: "The function's tenant runs all that it may.",
  ISOLATION_UNAVAILABLE: "The function cannot be run here now.",
  CONFLICT: "The function cannot be run now.",
};
/** How long to wait; and in a word how an instance ended, which public functions do not say in the first place. */
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
