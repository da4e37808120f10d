// Exit codes, as documented in `fnctl --help`. Scripts depend on them.
import type { CliError } from "./cli-error.ts";

export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  notAllowed: 3,
  notFound: 4,
  quota: 5,
  buildFailed: 6,
  rolloutFailed: 7,
  functionFailed: 8,
  interrupted: 130,
} as const;

const BY_CODE: Record<string, number> = {
  USAGE: EXIT.usage,
  BAD_REQUEST: EXIT.usage,
  INVALID_CONFIG: EXIT.usage,
  NOT_SIGNED_IN: EXIT.notAllowed,
  UNAUTHENTICATED: EXIT.notAllowed,
  FORBIDDEN: EXIT.notAllowed,
  NOT_FOUND: EXIT.notFound,
  QUOTA_EXCEEDED: EXIT.quota,
  RATE_LIMITED: EXIT.quota,
  CONCURRENCY_EXCEEDED: EXIT.quota,
  BUILD_FAILED: EXIT.buildFailed,
  INVALID_ARCHIVE: EXIT.buildFailed,
  PAYLOAD_TOO_LARGE: EXIT.buildFailed,
  SUPERSEDED: EXIT.rolloutFailed,
  INIT_FAILED: EXIT.rolloutFailed,
  ISOLATION_UNAVAILABLE: EXIT.rolloutFailed,
  CAPACITY_UNAVAILABLE: EXIT.rolloutFailed,
  WAIT_TIMEOUT: EXIT.rolloutFailed,
  FUNCTION_STATUS: EXIT.functionFailed,
  INTERRUPTED: EXIT.interrupted,
};

export function exitCodeOf(error: CliError): number {
  return error.options.exitCode ?? BY_CODE[error.code] ?? EXIT.unexpected;
}
