// The egress proxy of a cluster: one TCP port for all sandboxes, which show a credential instead of having a socket of their own.
import type { Server } from "node:http";
import type { ReadCredential } from "./credential.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { RefusalLog } from "./refusal-log.ts";
import type { Source } from "./source.ts";
import { createSourceServer, type ConnectRequest } from "./source-listener.ts";
import { runTunnel, type TunnelDeps } from "./tunnel.ts";

interface Deps extends TunnelDeps {
  readCredential: ReadCredential;
}

export function createCredentialServer(deps: Deps): { server: Server; end(outcome: string): void } {
  /** In the order of last use; a source's bytes are counted for as long as the source is remembered. */
  const sources = new Map<string, Source>();

  function sourceOf(instance: string, settings: Source["settings"]): Source {
    const source = sources.get(instance) ?? { instance, settings, bytes: 0, tunnels: new Set(), refusals: new RefusalLog() };
    source.settings = settings;
    sources.delete(instance);
    sources.set(instance, source);
    for (const [name, old] of sources) {
      if (sources.size <= EGRESS_LIMITS.rememberedSources) break;
      if (old.tunnels.size === 0) sources.delete(name);
    }
    return source;
  }

  async function connected(request: ConnectRequest): Promise<void> {
    const known = await deps.readCredential(request.proxyAuthorization);
    if (request.client.destroyed) return;
    if (known !== undefined) return runTunnel(deps, sourceOf(known.instance, known.source), request);
    request.client.on("error", () => request.client.destroy());
    request.client.end(
      'HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="fnctl"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    );
  }

  const server = createSourceServer({
    onConnect: (request) => void connected(request).catch(() => request.client.destroy()),
    maxConnections: () => EGRESS_LIMITS.openConnections,
  });
  return {
    server,
    end(outcome) {
      for (const source of sources.values()) for (const tunnel of source.tunnels) tunnel.end(outcome);
      server.closeAllConnections();
    },
  };
}
