// What gateways hold in memory, and who of this process hears of a change before they do.
import { createBuildNews } from "../builds/build-news.ts";
import { createChangeFeed } from "../changes/feed.ts";
import { createListener } from "../changes/listener.ts";
import { createHeld } from "../changes/topic.ts";
import { routesTopic } from "../changes/topics/routes.ts";
import { tokensTopic } from "../changes/topics/tokens.ts";
import type { Notice } from "../db/notify.ts";
import type { Data } from "./data.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** Everything that gateways hold is read anew this often, whatever notices said (SECURITY 4.1). */
const RESYNC_MS = 5 * 60_000;

export function wireChanges(system: Data["system"]) {
  const routes = createHeld(routesTopic(system));
  return { routes, feed: createChangeFeed([routes, createHeld(tokensTopic(system))]), buildNews: createBuildNews() };
}
export type Changes = ReturnType<typeof wireChanges>;

export interface HearingInput {
  changes: Changes;
  sandboxes: Pick<Sandboxes, "versions" | "leases" | "pool">;
  connection: string;
  onError(error: unknown): void;
  /** Gateways that did not say in time that they serve a change. */
  onLate(gateways: string[]): void;
}

/** Hears what is committed. Resolves when it does, and all that there is has been read. */
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
  const listener = createListener({ connection, onNotice, onConnected, onError });
  await feed.resync(true);
  await listener.start();
  const timer = setInterval(resync, RESYNC_MS);
  return {
    /** Resolves when gateways serve all that was committed before, or have had their time. */
    async published(): Promise<void> {
      await listener.barrier();
      await leases.isolation.settled();
      const { late, serves } = await feed.settled();
      if (late.length > 0) onLate(late);
      leases.isolation.endUnconfirmed(serves);
    },
    /** Resolves when every instance of this tenant, which was raised before, has been looked at; throws UNAVAILABLE when one could not be. */
    async raised(tenantId: string): Promise<void> {
      tenantChanged(tenantId); // its notice may be lost with the listener's connection
      await leases.isolation.requireJudged(tenantId);
    },
    async close(): Promise<void> {
      clearInterval(timer);
      await listener.close();
    },
  };
}
export type Hearing = Awaited<ReturnType<typeof hearChanges>>;
