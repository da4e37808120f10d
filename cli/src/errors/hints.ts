// The next command for each code: the only file with advice of the CLI's own.

const NEXT: Record<string, string> = {
  USAGE: "fnctl --help",
  NOT_SIGNED_IN: "fnctl login --token-stdin --url URL < token-file",
  UNAUTHENTICATED: "fnctl login --token-stdin < token-file",
  FORBIDDEN: "fnctl whoami",
  NOT_FOUND: "fnctl ls",
  INVALID_CONFIG: "fnctl schema",
  QUOTA_EXCEEDED: "fnctl ls",
  BUILD_FAILED: "mend it, then: fnctl deploy",
  INVALID_ARCHIVE: "fnctl deploy --dry-run",
  PAYLOAD_TOO_LARGE: "fnctl deploy --dry-run",
  INIT_FAILED: "mend it, then: fnctl deploy",
  UNREACHABLE: "fnctl doctor",
  UNAVAILABLE: "fnctl doctor",
  BAD_ANSWER: "fnctl doctor",
  WAIT_TIMEOUT: "fnctl versions",
  CONFLICT: "fnctl versions",
  SUPERSEDED: "fnctl versions",
  PRECONDITION_FAILED: "fnctl versions",
  INTERRUPTED: "the same command again",
  RATE_LIMITED: "wait a moment, then the same command again",
};

export const nextCommand = (code: string): string => NEXT[code] ?? "fnctl doctor";
