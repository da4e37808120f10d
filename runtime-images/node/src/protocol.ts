// The runtime protocol's constants. Repeated here, and compared with the contract by a test, because importing the contract
// would bring zod into every sandbox (10 ms and 6 MB of an idle instance).
import type { InitRequest } from "@fnctl/control-plane/contract/runtime-protocol";

export type { InitRequest };
export const PROTOCOL = 1;
export const PROTOCOL_PREFIX = "/.fnctl/";
export const HEALTH_PATH = "/.fnctl/v1/health";
export const CODE_PATH = "/.fnctl/v1/code";
export const CODE_DIGEST_HEADER = "x-fnctl-diff-id";
export const INIT_PATH = "/.fnctl/v1/init";
export const SETTLED_PATH = "/.fnctl/v1/settled";
export const SOCKET_PATH = "/run/fn/sock/s";
export const EGRESS_SOCKET_PATH = "/run/fn/egress/s";
export const NAMES_PROGRAM = "/opt/fnctl/names.pl";
export const CODE_FOLDER = "/function/code";
export const REQUEST_ID_HEADER = "x-request-id";
export const EXCHANGE_HEADER = "x-fnctl-exchange";
export const TIMEOUT_HEADER = "x-fnctl-timeout-ms";
/** How a pod is told to listen. */
export const POD_ENV = {
  port: "FNCTL_TLS_PORT",
  key: "FNCTL_TLS_KEY",
  certificate: "FNCTL_TLS_CERT",
  codeBytes: "FNCTL_CODE_BYTES",
  egress: "FNCTL_EGRESS_PROXY",
} as const;
export const RECORD_MARK = "\u001e";
export const LOG_LINE_BYTES = 16 * 1024;
