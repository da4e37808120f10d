// Composition root of the control plane: reads the environment, wires, listens, and ends in order.
import { onShutdown } from "./service/shutdown.ts";
import pino from "pino";
import { createBuildNews } from "./changes/build-news.ts";
import { createChangeFeed } from "./changes/feed.ts";
import { createListener } from "./changes/listener.ts";
import { openHealth } from "./http/health-listener.ts";
import { createSweep } from "./housekeeping/sweep.ts";
import { becomeOwner } from "./ownership/owner.ts";
import { controlPlaneSettings } from "./settings/control-plane-settings.ts";
import { readSettings } from "./settings/environment.ts";
import { readSecret } from "./settings/secret.ts";
import { wireBuilding } from "./wiring/building.ts";
import { wireData } from "./wiring/data.ts";
import { openListeners } from "./wiring/listeners.ts";
import { wireSandboxes } from "./wiring/sandboxes.ts";

/** Everything that gateways hold is read anew this often, whatever notices said (SECURITY 4.1). */
const RESYNC_MS = 5 * 60_000;

async function main(environment: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(controlPlaneSettings, environment);
  const log = pino({ name: "control-plane" });
  const onError = (error: unknown, requestId?: string) => log.error({ err: error, requestId }, "unexpected");
  const secret = readSecret(settings.FNCTL_INTERNAL_SECRET_FILE);

  const data = await wireData(settings, onError);
  let role = "waiting";
  const health = openHealth(settings.FNCTL_HEALTH_LISTEN, () => role);
  const endWith = (end: (signal: string) => Promise<void>) => {
    let ending = false;
    onShutdown((signal) => {
      if (!ending) end(signal).catch(() => process.exit(1));
      ending = true;
    });
  };
  const ownership = await becomeOwner({
    store: data.lease,
    holder: settings.FNCTL_HOLDER,
    hasRivals: settings.FNCTL_DRIVER === "kubernetes",
    onWaiting: () => log.info("another control plane owns the platform; waiting"),
    onLost(reason) {
      // At once and without goodbyes: everything that this process could still do is the new owner's business.
      log.fatal({ epoch: ownership.epoch }, reason);
      process.exit(1);
    },
    onError,
  });
  const { epoch } = ownership;
  // Asked to end while it starts: nothing has been promised to anybody yet, and the next one need not wait for the lease to run out.
  endWith(async () => {
    await ownership.release();
    process.exit(0);
  });
  const feed = createChangeFeed(data.system);
  const buildNews = createBuildNews();
  const sandboxes = await wireSandboxes({ settings, secret, data, epoch, feed, onError });
  const building = await wireBuilding(settings, data, sandboxes, onError);
  const { versions, leases, pool } = sandboxes;
  const tenantChanged = (tenantId: string) => {
    versions.forgetTenant(tenantId);
    pool.dropTenant(tenantId);
    leases.isolation.look().catch(onError);
  };
  const resync = () => void feed.resync().catch(onError);
  const listener = createListener({
    connection: settings.FNCTL_DB_SYSTEM,
    onNotice(notice) {
      if (notice.kind === "build") return buildNews.tell(notice.id);
      if (notice.kind === "function") sandboxes.versions.forgetFunction(notice.id);
      if (notice.kind === "tenant") tenantChanged(notice.id);
      feed.onNotice(notice).catch(onError);
    },
    onConnected() {
      versions.forgetAll(); // notices may have been lost
      resync();
    },
    onError,
  });
  await feed.resync();
  await listener.start();
  await sandboxes.reconciler.adopt();
  const timer = setInterval(resync, RESYNC_MS);
  const sweep = createSweep({ ...data, tenantIds: data.system.tenantIds, logs: sandboxes.collector, onError });
  sweep.start();
  const published = async () => {
    await listener.barrier();
    await leases.isolation.settled();
    const { late, serves } = await feed.settled();
    if (late.length > 0) log.warn({ gateways: late }, "answered before these gateways served the change");
    leases.isolation.endUnconfirmed(serves);
  };
  const raised = async (tenantId: string) => {
    tenantChanged(tenantId); // its notice may be lost with the listener's connection
    await leases.isolation.requireJudged(tenantId);
  };
  const listeners = await openListeners({ settings, secret, data, sandboxes, building, feed, buildNews, published, raised, onError });
  // Now, because the check of a cluster's network looks for these listeners, too.
  sandboxes.host.begin(sandboxes.bases.runtimes["node24"] ?? "");
  sandboxes.reconciler.run();
  await building.run();
  await sandboxes.host.publish();
  role = "owner";
  log.info({ epoch }, "ready");

  endWith(async (signal) => {
    log.info({ signal }, "stopping");
    clearInterval(timer);
    await sweep.close();
    listeners.close();
    await sandboxes.reconciler.close();
    await building.close();
    await sandboxes.pool.close(false); // sandboxes stay: the next control plane adopts them
    await sandboxes.host.close();
    await listener.close();
    await ownership.release();
    health.close();
    await data.close();
    process.exit(0);
  });
}

await main(process.env);
