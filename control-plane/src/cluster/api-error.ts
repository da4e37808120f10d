// Turns refusals of the Kubernetes API server into coded errors. Its text goes to the operator's log; callers get a code only.
import { ApiException } from "@kubernetes/client-node";
import { PlatformError } from "../contract/errors.ts";

const TEXT_CAP = 500;

export const hasStatus = (error: unknown, ...statuses: number[]): boolean => error instanceof ApiException && statuses.includes(error.code);

/** Status.reason of the API server (meta/v1), e.g. `AlreadyExists`, and its message. */
function statusOf(error: ApiException<unknown>): string {
  let body: unknown = error.body;
  if (typeof body === "string") {
    try {
      body = JSON.parse(body);
    } catch {
      return String(body).slice(0, TEXT_CAP);
    }
  }
  const { message } = (body ?? {}) as { message?: unknown };
  return (typeof message === "string" ? message : "no message").slice(0, TEXT_CAP);
}

/** `what`: the attempted call in words, e.g. "create the pod". */
function apiError(what: string, error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  if (!(error instanceof ApiException))
    return new PlatformError("UNAVAILABLE", `The Kubernetes API cannot be reached to ${what}.`, { cause: error });
  const message = statusOf(error);
  if (error.code === 403 && message.includes("exceeded quota"))
    return new PlatformError("CONCURRENCY_EXCEEDED", "The tenant's namespace has no room for another instance.", {
      hint: "Wait for others to end, or ask the operator for a larger quota.",
      cause: error,
    });
  if (error.code === 429 || error.code >= 500)
    return new PlatformError("UNAVAILABLE", `The Kubernetes API cannot ${what} now: ${message}`, { cause: error });
  return new PlatformError("SANDBOX_FAILED", `The Kubernetes API refused to ${what}: ${message}`, { cause: error });
}

/** Waits for a call and turns its failure into a coded error that names the call. */
export const calling = <T>(what: string, call: Promise<T>): Promise<T> =>
  call.catch((error: unknown) => Promise.reject(apiError(what, error)));
