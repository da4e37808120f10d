// One build's folders, settings and environment, handed to every step.
import type { BuildRequest } from "./protocol.ts";
import type { Emit } from "./tools.ts";

export interface Workspace {
  /** The unpacked source. */
  source: string;
  /** Scratch space on the same tmpfs. */
  scratch: string;
  request: BuildRequest;
  /** HTTP proxy for registries; absent: no way out, so installs fail unless nothing is to be fetched. */
  proxy: string | undefined;
  /** PEM bundle for the tools: the built-in roots and the operator's. */
  caFile: string;
  signal: AbortSignal;
  emit: Emit;
  /** Runs and times one named step. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** Environment of a tool: nothing of the server's own but its search path. */
export function toolEnvironment(workspace: Workspace): Record<string, string> {
  const { proxy, caFile, scratch } = workspace;
  const proxies = proxy === undefined ? {} : { HTTPS_PROXY: proxy, HTTP_PROXY: proxy, https_proxy: proxy, http_proxy: proxy };
  return {
    PATH: "/opt/fnctl/builder/python/bin:/usr/local/bin:/usr/bin:/bin",
    HOME: `${scratch}/home`,
    TMPDIR: `${scratch}/tmp`,
    LANG: "C.UTF-8",
    CI: "true",
    NO_COLOR: "1",
    SSL_CERT_FILE: caFile,
    NODE_EXTRA_CA_CERTS: caFile,
    SOURCE_DATE_EPOCH: "315532800",
    ...proxies,
  };
}
