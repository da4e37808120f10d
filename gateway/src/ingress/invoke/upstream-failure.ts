// Interprets undici's errors about an instance, and makes the errors that the caller gets.
import { PlatformError } from "@fnctl/control-plane/contract/errors";

const codeOf = (error: Error): string => (error as { code?: string }).code ?? "";

/** Whether it is one of undici's errors for an answer that is not HTTP, is too long, or differs from its announced length. */
export function isBadResponse(error: Error): boolean {
  const code = codeOf(error);
  return (
    error.name === "HTTPParserError" ||
    code.startsWith("HPE_") ||
    code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" ||
    code === "UND_ERR_RES_EXCEEDED_MAX_SIZE" ||
    code === "UND_ERR_HEADERS_OVERFLOW" ||
    error.message === "bad response" ||
    error.message === "bad upgrade" ||
    error instanceof TypeError ||
    code.startsWith("ERR_HTTP_") ||
    code === "ERR_INVALID_CHAR"
  );
}

/** Whether other bytes came where an answer's first line should be: they may belong to another request (SECURITY D6). */
export const isPoisoning = (error: Error): boolean => codeOf(error) === "HPE_INVALID_CONSTANT";

export const badResponse = (cause: Error): PlatformError =>
  new PlatformError("FUNCTION_BAD_RESPONSE", "The function's answer is no valid HTTP.", { hint: "See `fnctl logs`.", cause });

/** The function closed the connection; its instance goes on. */
export const brokenAnswer = (cause: Error): PlatformError =>
  new PlatformError("FUNCTION_BAD_RESPONSE", "The function closed its connection before its answer was whole.", {
    hint: "See `fnctl logs`.",
    cause,
  });

export const takesNoConnections = (): PlatformError =>
  new PlatformError("FUNCTION_CRASHED", "The function's instance takes no connections.", { hint: "See `fnctl logs`." });

/** `reason`: why the instance ended, if the control plane knows it and the caller may know it; otherwise "". */
export const crashed = (reason: string): PlatformError =>
  new PlatformError("FUNCTION_CRASHED", "The function's instance ended before it answered.", {
    hint: "See `fnctl logs` and `fnctl describe` for the reason.",
    facts: reason === "" ? undefined : { reason },
  });

export const functionTimeout = (timeoutMs: number): PlatformError =>
  new PlatformError("FUNCTION_TIMEOUT", `The function did not finish within ${timeoutMs} ms.`, {
    hint: "Raise `timeout` in fnctl.yaml, or look at what the function waits for with `fnctl logs`.",
  });
