// What egress proxies may ask and report: the part of the change stream that is theirs, and what went through them. They carry what hostile code sends, so they have a
// listener of their own, which knows no tokens, leases or instances.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { PlatformError } from "../../contract/errors.ts";
import {
  INTERNAL_PATHS,
  appliedRequestSchema,
  egressCredentialSchema,
  egressReportSchema,
  egressUsageSchema,
} from "../../contract/internal.ts";
import type { EgressRecords } from "../../egress/records.ts";
import type { EgressUsage } from "../../egress/usage.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import { createBearerCheck } from "../../service/http/authorised.ts";
import { readJson } from "../../service/http/json-body.ts";
import { serveJson, unexpected, type Reply } from "../../service/http/serve.ts";
import { streamChanges } from "./listener.ts";

const BODY_CAP = 1024 * 1024;
const BASE = "http://internal";

export interface EgressListenerDeps {
  secret: string;
  feed: ChangeFeed;
  records: Pick<EgressRecords, "keep">;
  usage: Pick<EgressUsage, "keep">;
  /** A new credential for one that still counts. Throws FORBIDDEN. Absent: sandboxes have none. */
  renew?: ((credential: string) => Promise<string>) | undefined;
  onError(error: unknown): void;
}

export function createEgressListener({ secret, feed, records, usage, renew, onError }: EgressListenerDeps): RequestListener {
  const authorised = createBearerCheck(secret);
  const posts: Record<string, (body: unknown) => unknown> = {
    [INTERNAL_PATHS.applied](body) {
      const { holder, at } = appliedRequestSchema.parse(body);
      feed.applied(holder, at);
    },
    [INTERNAL_PATHS.egressRecords]: (body) => records.keep(egressReportSchema.parse(body).records),
    [INTERNAL_PATHS.egressUsage](body) {
      const { proxy, uses } = egressUsageSchema.parse(body);
      return usage.keep(proxy, uses);
    },
    async [INTERNAL_PATHS.egressCredential](body) {
      const { credential } = egressCredentialSchema.parse(body);
      if (renew === undefined) throw new PlatformError("NOT_FOUND", "Sandboxes have no credentials here.");
      return { credential: await renew(credential) };
    },
  };
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    if (!authorised(request)) throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
    const asked = request.url ?? "/";
    const url = new URL(URL.canParse(asked, BASE) ? asked : "/", BASE);
    if (request.method === "GET" && url.pathname === INTERNAL_PATHS.changes) {
      await streamChanges(feed, url.searchParams, response, "egress");
      return undefined;
    }
    const take = request.method === "POST" ? posts[url.pathname] : undefined;
    if (take === undefined) throw new PlatformError("NOT_FOUND", "No such internal path.");
    return { body: (await take(await readJson(request, BODY_CAP))) ?? {} };
  }
  return serveJson(answer, unexpected(onError));
}
