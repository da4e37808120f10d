// The internal listener: what gateways and the supervisor ask. Never reachable from the public one (SECURITY D8); every call carries
// the shared secret, and without a secret the process does not start.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { z } from "zod";
import { PROBLEM_TYPE, PlatformError, toProblem } from "../contract/errors.ts";
import {
  INTERNAL_PATHS,
  appliedRequestSchema,
  bootstrapRequestSchema,
  leaseRequestSchema,
  logChannelsRequestSchema,
  releaseRequestSchema,
  renewRequestSchema,
} from "../contract/internal.ts";
import type { LogChannel } from "../contract/logs.ts";
import { authorised } from "../http/authorised.ts";
import { readJson } from "../http/json-body.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import { hideLoadFailure } from "../instances/load-failure.ts";
import type { LeaseManager } from "../instances/lease-manager.ts";
import type { Reconciler } from "../instances/reconciler.ts";

const BODY_CAP = 4 * 1024 * 1024;
const BASE = "http://internal";
const PING_MS = 5_000;
/** A reader that falls this far behind is cut off; it comes back and gets a snapshot. */
const STREAM_BACKLOG = 64 * 1024 * 1024;

/** What node agents are told. */
export interface LogAgents {
  /** Theirs alone, and good for nothing else here: they run where sandboxes do. */
  secret: Buffer;
  channels(instances: string[]): Promise<LogChannel[]>;
}
export interface InternalDeps {
  secret: Buffer;
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
      const keep = (managed: { functionId: string; versionId: string }) =>
        deps.leases.table.ofVersion(managed.versionId).length <= deps.reconciler.minOf(managed.functionId, managed.versionId);
      return { ended: await deps.leases.release(releaseRequestSchema.parse(body), keep) };
    },
    [INTERNAL_PATHS.bootstrap]: (body) => deps.bootstrap(bootstrapRequestSchema.parse(body)),
    [INTERNAL_PATHS.logChannels]: async (body) => ({
      channels: (await deps.agents?.channels(logChannelsRequestSchema.parse(body).instances)) ?? [],
    }),
  };
  const secretFor = (path: string): Buffer => (path === INTERNAL_PATHS.logChannels && deps.agents?.secret) || deps.secret;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = request.url ?? "/";
    // Read before it is known who asks: what is no address is nobody's, and no error of ours.
    const url = new URL(URL.canParse(asked, BASE) ? asked : "/", BASE);
    if (!authorised(request, secretFor(url.pathname)))
      throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
    if (request.method === "GET" && url.pathname === INTERNAL_PATHS.changes) {
      streamChanges(deps.feed, url.searchParams, response);
      return;
    }
    if (request.method === "GET" && url.pathname === "/internal/v1/status") {
      reply(response, 200, "application/json", deps.status());
      return;
    }
    const handler = request.method === "POST" ? posts[url.pathname] : undefined;
    if (handler === undefined) throw new PlatformError("NOT_FOUND", "No such internal path.");
    reply(response, 200, "application/json", await handler(await readJson(request, BODY_CAP)));
  }

  return (request, response) => {
    answer(request, response).catch((error: unknown) => {
      const known = error instanceof z.ZodError ? new PlatformError("BAD_REQUEST", z.prettifyError(error)) : error;
      if (!(known instanceof PlatformError)) deps.onError(error);
      const problem = toProblem(known);
      reply(response, problem.status, PROBLEM_TYPE, problem);
    });
  };
}

function reply(response: ServerResponse, status: number, type: string, body: unknown): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
}

function streamChanges(feed: ChangeFeed, query: URLSearchParams, response: ServerResponse): void {
  const holder = query.get("holder");
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const write = (change: unknown) => {
    response.write(`${JSON.stringify(change)}\n`);
    if (response.writableLength > STREAM_BACKLOG) response.destroy();
  };
  const left = holder === null ? undefined : feed.joined(holder);
  const end = feed.subscribe(query.get("since") ?? undefined, write);
  const sayPosition = () => write({ at: feed.position(), type: "ping" });
  sayPosition(); // what was missed is all told
  const ping = setInterval(sayPosition, PING_MS);
  response.on("close", () => {
    end();
    left?.();
    clearInterval(ping);
  });
}
