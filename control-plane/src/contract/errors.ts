// The closed list of error codes. Every failure that leaves a process carries one of these (RFC 9457 problem details).
import { z } from "zod";

/** Whose fault a code reports: the client can fix a `user` error, the operator a `system` error. */
export type Fault = "user" | "system";
interface CodeFacts {
  status: number;
  fault: Fault;
  title: string;
}
const user = (status: number, title: string): CodeFacts => ({ status, fault: "user", title });
const system = (status: number, title: string): CodeFacts => ({ status, fault: "system", title });

const ERROR_CODES = {
  BAD_REQUEST: user(400, "The request is malformed"),
  INVALID_CONFIG: user(400, "The function's configuration is invalid"),
  UNAUTHENTICATED: user(401, "No valid token was given"),
  FORBIDDEN: user(403, "The token does not allow this"),
  NOT_FOUND: user(404, "No such resource"),
  METHOD_NOT_ALLOWED: user(405, "The method is not allowed here"),
  REQUEST_TIMEOUT: user(408, "The request did not arrive in time"),
  CONFLICT: user(409, "The resource is in another state"),
  SUPERSEDED: user(409, "Something newer took its place"),
  PRECONDITION_FAILED: user(412, "The resource changed since it was read"),
  PAYLOAD_TOO_LARGE: user(413, "The body is larger than allowed"),
  DIGEST_MISMATCH: user(422, "The bytes do not have the digest they were sent under"),
  IDEMPOTENCY_MISMATCH: user(422, "The idempotency key was used for another request"),
  INVALID_ARCHIVE: user(422, "The source archive is not acceptable"),
  HEADERS_TOO_LARGE: user(431, "The request's header is larger than allowed"),
  RATE_LIMITED: user(429, "Too many requests"),
  QUOTA_EXCEEDED: user(429, "A quota of the tenant is used up"),
  CONCURRENCY_EXCEEDED: user(429, "Every instance of the function is busy"),
  MISDIRECTED_REQUEST: user(421, "This host serves no such name"),
  BUILD_FAILED: user(422, "The build failed"),
  INIT_FAILED: user(502, "The function could not be loaded"),
  FUNCTION_CRASHED: user(502, "The function's instance ended before it answered"),
  FUNCTION_BAD_RESPONSE: user(502, "The function's answer was not valid HTTP"),
  FUNCTION_TIMEOUT: user(504, "The function did not answer in time"),
  CLIENT_CLOSED: user(499, "The client went away"),
  LOOP_DETECTED: user(508, "Functions call each other in a circle"),
  UPGRADE_UNSUPPORTED: user(501, "Protocol upgrades are not supported"),
  ISOLATION_UNAVAILABLE: system(503, "The isolation that was asked for is not available"),
  CAPACITY_UNAVAILABLE: system(503, "No instance could be had in time"),
  STORAGE_LOW: system(507, "The platform has little disk space left"),
  SHUTTING_DOWN: system(503, "The service is shutting down"),
  UNAVAILABLE: system(503, "A part of the platform is not reachable"),
  SANDBOX_FAILED: system(500, "A sandbox could not be started"),
  INTERNAL: system(500, "Something failed inside the platform"),
} as const satisfies Record<string, CodeFacts>;

export type ErrorCode = keyof typeof ERROR_CODES;
const errorCodeSchema = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);

export interface ErrorOptions {
  /** What the reader can do about the error; one sentence. */
  hint?: string | undefined;
  /** Machine-readable facts, e.g. `{line, column}` of a mistake. Never secrets. */
  facts?: Record<string, unknown> | undefined;
  cause?: unknown;
}

/** The base of all errors. `message` says what happened, `hint` what to do. */
export class PlatformError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly facts: Record<string, unknown> | undefined;
  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "PlatformError";
    this.code = code;
    this.hint = options.hint;
    this.facts = options.facts;
  }
  get status(): number {
    return ERROR_CODES[this.code].status;
  }
  get fault(): Fault {
    return ERROR_CODES[this.code].fault;
  }
}

/** `application/problem+json` as every listener of the platform sends it (RFC 9457 section 3). */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: errorCodeSchema,
    detail: z.string(),
    hint: z.string().optional(),
    requestId: z.string().optional(),
    facts: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof problemSchema>;
export const PROBLEM_TYPE = "application/problem+json";

/** Turns an error into the body that leaves the process. The text of unknown errors is not shown. */
export function toProblem(error: unknown, requestId?: string): Problem {
  const known = error instanceof PlatformError ? error : new PlatformError("INTERNAL", "An unexpected error occurred.");
  return {
    type: `urn:fnctl:error:${known.code}`,
    title: ERROR_CODES[known.code].title,
    status: known.status,
    code: known.code,
    detail: known.message,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(known.facts === undefined ? {} : { facts: known.facts }),
  };
}

/** The inverse of `toProblem`: a problem document received from another part becomes an error again. */
export function fromProblem(value: unknown): PlatformError {
  const parsed = problemSchema.safeParse(value);
  if (!parsed.success) return new PlatformError("INTERNAL", "The other side answered with an error of no known form.");
  const { code, detail, hint, facts } = parsed.data;
  return new PlatformError(code, detail, { hint, facts });
}
