// The two listeners: the management API (behind the gateway) and the internal one (for gateways and the supervisor).
import { getRequestListener } from "@hono/node-server";
import { createApi } from "../api/app.ts";
import { imageReference } from "../functions/function-store.ts";
import { listenInternal } from "../service/http/listen.ts";
import { createBootstrap } from "../accounts/bootstrap.ts";
import { createEgressListener } from "../api/internal/egress-listener.ts";
import { createInternalListener } from "../api/internal/listener.ts";
import { limitReads } from "../logs/read/limited-reader.ts";
import type { ControlPlaneSettings } from "./settings.ts";
import type { Building } from "./building.ts";
import type { Changes, Hearing } from "./changes.ts";
import type { Data } from "./data.ts";
import type { Sandboxes } from "./sandboxes.ts";

export interface ListenersInput {
  settings: ControlPlaneSettings;
  secret: string;
  data: Data;
  sandboxes: Sandboxes;
  building: Building;
  changes: Pick<Changes, "feed" | "buildNews">;
  hearing: Pick<Hearing, "published" | "raised">;
  onError(error: unknown, requestId?: string): void;
}

export async function openListeners(input: ListenersInput): Promise<{ close(): void }> {
  const { settings, data, sandboxes, changes, hearing } = input;
  const owner = { mode: 0o660, ...(settings.FNCTL_DATA_GID === undefined ? {} : { gid: settings.FNCTL_DATA_GID }) };
  const { FNCTL_INTERNAL_CERT_FILE: certificate, FNCTL_INTERNAL_KEY_FILE: key } = settings;
  const tls = certificate === undefined || key === undefined ? undefined : { certificate, key };
  const servers = {
    egress: await listenInternal(egressOf(input), settings.FNCTL_EGRESS_FEED_SOCKET, { mode: 0o660 }, tls),
    internal: await listenInternal(internalOf(input), settings.FNCTL_CONTROL_SOCKET, owner, tls),
    api: await listenInternal(getRequestListener(apiOf(input).fetch), settings.FNCTL_API_SOCKET, owner, tls),
  };
  return {
    close() {
      servers.api.close();
      servers.internal.close();
      servers.egress.close();
    },
  };

  function apiOf({ building, onError }: ListenersInput) {
    return createApi({
      ...data,
      endpoint: { domain: settings.FNCTL_FUNCTION_DOMAIN, publicUrl: settings.FNCTL_PUBLIC_URL },
      instances: sandboxes.leases.table,
      enqueueBuild: building.enqueue,
      published: hearing.published,
      raised: hearing.raised,
      buildChanged: (id, timeoutMs) => changes.buildNews.wait(id, timeoutMs),
      onRemoved: ({ tenantId, functionId, name, versions }) => {
        sandboxes.collector.remove(tenantId, functionId).catch(onError);
        for (const number of versions) data.images.removeReference(tenantId, imageReference(name, number)).catch(onError);
      },
      logs: limitReads(sandboxes.collector),
      conditions: sandboxes.host.conditions,
      onError,
    });
  }
  function egressOf({ secret, onError }: ListenersInput) {
    const { leases, host } = sandboxes;
    const isRunning = (instance: string, versionId: string): boolean => leases.table.get(instance)?.versionId === versionId;
    const renew = host.renewEgress && ((credential: string) => host.renewEgress!(credential, isRunning));
    return createEgressListener({ secret, feed: changes.feed, records: data.egressRecords, usage: data.egressUsage, renew, onError });
  }
  function internalOf({ secret, onError }: ListenersInput) {
    const { leases, reconciler, pool } = sandboxes;
    const status = () => ({ pool: pool.counts(), instances: leases.table.size() });
    return createInternalListener({
      secret,
      agents: sandboxes.host.agents,
      feed: changes.feed,
      leases,
      reconciler,
      bootstrap: createBootstrap(data.tenants, hearing.published),
      status,
      onError,
    });
  }
}
