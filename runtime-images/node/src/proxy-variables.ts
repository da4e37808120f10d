// What tells HTTP clients of the proxy on the sandbox's loopback (base/names.pl). Plain HTTP alone: over TLS some clients do by these variables what no
// proxy takes (`GET https://`), and names lead out without them. Loopback is the sandbox's own.
import { existsSync } from "node:fs";
import { EGRESS_SOCKET_PATH, type InitRequest } from "./protocol.ts";

const PROXY = "http://127.0.0.1:3128";
const LOOPBACK = "localhost,127.0.0.1,::1,127.0.0.0/8";

/** Empty where the sandbox has no way out: no socket, and in a pod no credential. */
export const proxyVariables = (egress: InitRequest["egress"]): Record<string, string> =>
  egress !== undefined || existsSync(EGRESS_SOCKET_PATH)
    ? { HTTP_PROXY: PROXY, http_proxy: PROXY, NO_PROXY: LOOPBACK, no_proxy: LOOPBACK }
    : {};
