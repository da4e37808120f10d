// The internal listener answers gateways, the supervisor and log agents. It cannot be reached from the public listener (SECURITY D8); every
// call carries a shared secret, and the process does not start without one.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import {
  INTERNAL_PATHS,
  appliedRequestSchema,
  bootstrapRequestSchema,
  leaseRequestSchema,
  logChannelsRequestSchema,
  releaseRequestSchema,
  renewRequestSchema,
} from "../../contract/internal.ts";
import { gatewayEndedSchema } from "../../contract/holder.ts";
import type { LogChannel } from "../../contract/logs.ts";
import { createBearerCheck } from "../../service/http/authorised.ts";
import { readJson } from "../../service/http/json-body.ts";
import { writeBatches } from "../../service/http/write-lines.ts";
import { serveJson, unexpected, type Reply } from "../../service/http/serve.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Audience } from "../../changes/topic.ts";
import { hideLoadFailure } from "../../instances/start/load-failure.ts";
import type { LeaseManager } from "../../instances/leases/lease-manager.ts";
import type { Reconciler } from "../../instances/upkeep/reconciler.ts";

const BODY_CAP = 4 * 1024 * 1024;
const BASE = "http://internal";

/** What the nodes' log agents may ask. */
export interface LogAgents {
  /** A secret of the agents' own that opens no other path of this listener, because agents run on the nodes where sandboxes run. */
  secret: string;
  channels(instances: string[]): Promise<LogChannel[]>;
}
export interface InternalDeps {
  secret: string;
  agents: LogAgents | undefined;
  feed: ChangeFeed;
  leases: LeaseManager;
  reconciler: Reconciler;
  bootstrap(request: z.infer<typeof bootstrapRequestSchema>): Promise<unknown>;
  status(): unknown;
  onError(error: unknown): void;
}

export function createInternalListener(deps: InternalDeps): RequestListener {
  const posts: Record<string, (body: unknown) => unknown> = {
    [INTERNAL_PATHS.leases]: (body) => deps.leases.acquire(leaseRequestSchema.parse(body)).catch(hideLoadFailure),
    [INTERNAL_PATHS.applied]: (body) => {
      const { holder, at } = appliedRequestSchema.parse(body);
      deps.feed.applied(holder, at);
      return {};
    },
    [INTERNAL_PATHS.renew]: (body) => deps.leases.renew(renewRequestSchema.parse(body)),
    [INTERNAL_PATHS.release]: async (body) => {
      const keep = (instance: { functionId: string; versionId: string }) =>
        deps.leases.table.ofVersion(instance.versionId).length <= deps.reconciler.minOf(instance.functionId, instance.versionId);
      return { ended: await deps.leases.release(releaseRequestSchema.parse(body), keep) };
    },
    [INTERNAL_PATHS.gatewayEnded]: (body) => {
      deps.leases.gatewayEnded(gatewayEndedSchema.parse(body));
      return {};
    },
    [INTERNAL_PATHS.bootstrap]: (body) => deps.bootstrap(bootstrapRequestSchema.parse(body)),
    [INTERNAL_PATHS.logChannels]: async (body) => ({
      channels: (await deps.agents?.channels(logChannelsRequestSchema.parse(body).instances)) ?? [],
    }),
  };
  const parts = createBearerCheck(deps.secret);
  const agents = deps.agents === undefined ? parts : createBearerCheck(deps.agents.secret);
  const mayAsk = (path: string) => (path === INTERNAL_PATHS.logChannels ? agents : parts);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const asked = request.url ?? "/";
    // The URL is parsed before the secret is checked; one that cannot be parsed is treated as "/" instead of ending as an internal error.
    const url = new URL(URL.canParse(asked, BASE) ? asked : "/", BASE);
    if (!mayAsk(url.pathname)(request)) throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
    if (request.method === "GET" && url.pathname === INTERNAL_PATHS.changes) {
      await streamChanges(deps.feed, url.searchParams, response, "gateways");
      return undefined;
    }
    if (request.method === "GET" && url.pathname === "/internal/v1/status") return { body: deps.status() };
    const handler = request.method === "POST" ? posts[url.pathname] : undefined;
    if (handler === undefined) throw new PlatformError("NOT_FOUND", "No such internal path.");
    return { body: await handler(await readJson(request, BODY_CAP)) };
  }

  return serveJson(answer, unexpected(deps.onError));
}

/** As fast as the reader reads. One that takes nothing is cut (`writeBatches`), comes back, and goes on where it was. */
export async function streamChanges(feed: ChangeFeed, query: URLSearchParams, response: ServerResponse, audience: Audience): Promise<void> {
  const gone = new AbortController();
  const holder = query.get("holder");
  const left = holder === null ? undefined : feed.joined(holder, audience);
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.on("close", () => {
    gone.abort();
    left?.();
  });
  await writeBatches(response, feed.follow(query.get("since") ?? undefined, gone.signal, audience));
}
