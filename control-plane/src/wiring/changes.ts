// Connects the change feed for gateways, and the parts of this process that must know of a change before gateways do.
import { createBuildNews } from "../builds/build-news.ts";
import { createChangeFeed } from "../changes/feed.ts";
import { createNoticeStream } from "../changes/notice-stream.ts";
import { createHeld } from "../changes/topic.ts";
import { egressTopic } from "../changes/topics/egress.ts";
import { routesTopic } from "../changes/topics/routes.ts";
import { tokensTopic } from "../changes/topics/tokens.ts";
import { versionRulesTopic } from "../changes/topics/version-rules.ts";
import type { Notice } from "../db/notify.ts";
import type { Data } from "./data.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** How often everything that gateways hold is read anew, in case a notice was lost (SECURITY 4.1). */
const RESYNC_MS = 5 * 60_000;

/** `perTenant`: egress proxies are not told of each sandbox what it may reach (`SandboxHost`). */
export function wireChanges(system: Data["system"], perTenant: boolean) {
  const routes = createHeld(routesTopic(system));
  const versions = perTenant ? [createHeld(versionRulesTopic(system))] : [];
  return {
    routes,
    feed: createChangeFeed([routes, createHeld(tokensTopic(system)), createHeld(egressTopic(system)), ...versions]),
    buildNews: createBuildNews(),
  };
}
export type Changes = ReturnType<typeof wireChanges>;

export interface HearingInput {
  changes: Changes;
  sandboxes: Pick<Sandboxes, "versions" | "leases" | "pool">;
  connection: string;
  onError(error: unknown): void;
  /** Called with the gateways that did not report in time that they serve a change. */
  onLate(gateways: string[]): void;
}

/** Listens for committed changes. Resolves when it listens and the present state has been read. */
export async function hearChanges({ changes, sandboxes, connection, onError, onLate }: HearingInput) {
  const { feed, buildNews } = changes;
  const { versions, leases, pool } = sandboxes;
  function tenantChanged(tenantId: string): void {
    versions.forgetTenant(tenantId);
    pool.dropTenant(tenantId);
    leases.isolation.look().catch(onError);
  }
  function onNotice(notice: Notice): void {
    if (notice.kind === "build") return buildNews.tell(notice.id);
    if (notice.kind === "function") versions.forgetFunction(notice.id);
    if (notice.kind === "tenant") tenantChanged(notice.id);
    feed.onNotice(notice).catch(onError);
  }
  const resync = () => void feed.resync().catch(onError);
  function onConnected(): void {
    versions.forgetAll(); // notices may have been lost
    feed.resync(true).catch(onError);
  }
  const notices = createNoticeStream({ connection, onNotice, onConnected, onError });
  await feed.resync(true);
  await notices.start();
  const timer = setInterval(resync, RESYNC_MS);
  return {
    /**
     * Resolves when gateways and egress proxies serve all changes that were committed before, or after the longest wait for them. `egress`: at least
     * one egress proxy is connected, and all of them do.
     */
    async published(): Promise<{ egress: boolean }> {
      await notices.barrier();
      await leases.isolation.settled();
      const { late, serves, allServe } = await feed.settled();
      if (late.length > 0) onLate(late);
      leases.isolation.endUnconfirmed(serves);
      return { egress: allServe("egress") };
    },
    /**
     * Resolves when every instance of this tenant, whose risk was raised before, has been checked; throws UNAVAILABLE when one could not be
     * checked.
     */
    async raised(tenantId: string): Promise<void> {
      tenantChanged(tenantId); // the notice of the change may be lost with the database connection
      await leases.isolation.requireJudged(tenantId);
    },
    async close(): Promise<void> {
      clearInterval(timer);
      await notices.close();
    },
  };
}
export type Hearing = Awaited<ReturnType<typeof hearChanges>>;
