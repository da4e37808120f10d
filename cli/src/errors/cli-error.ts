// The only error class of the CLI. Codes are the platform's own (contract/errors) or one of a few that only a client can have.
import type { ErrorCode } from "@fnctl/control-plane/contract/errors";

export type ClientCode =
  /** The command line is wrong. */
  | "USAGE"
  /** No token is set up. */
  | "NOT_SIGNED_IN"
  /** The platform did not answer. */
  | "UNREACHABLE"
  /** The platform answered with something that is not its API. */
  | "BAD_ANSWER"
  /** The time of `--wait-timeout` is over. */
  | "WAIT_TIMEOUT"
  /** The function answered `invoke --fail` with a status of 400 or more. */
  | "FUNCTION_STATUS"
  /** `doctor` found a problem. */
  | "UNHEALTHY"
  | "INTERRUPTED";

export interface Mistake {
  file: string;
  line: number;
  column: number;
  message: string;
}
export interface CliErrorOptions {
  /** What the user can do, in the platform's words; one sentence. */
  hint?: string | undefined;
  /** The next command; overrides the one that `hints.ts` knows for the code. */
  next?: string | undefined;
  requestId?: string | undefined;
  facts?: Record<string, unknown> | undefined;
  /** All mistakes of a file at once. */
  mistakes?: readonly Mistake[] | undefined;
  exitCode?: number | undefined;
  cause?: unknown;
}

export class CliError extends Error {
  /** Codes of a newer platform pass through as they are. */
  readonly code: ErrorCode | ClientCode | (string & {});
  readonly options: CliErrorOptions;
  constructor(code: CliError["code"], message: string, options: CliErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "CliError";
    this.code = code;
    this.options = options;
  }
  /** The same error with more known about it. */
  with(more: CliErrorOptions): CliError {
    return new CliError(this.code, this.message, { ...this.options, ...more });
  }
}

export const usage = (message: string, next?: string): CliError => new CliError("USAGE", message, { next });
