// Composition root of the control plane: reads the environment, wires, listens, and shuts down in order.
import pino, { type Logger } from "pino";
import { becomeOwner } from "./platform/owner.ts";
import { createSweep } from "./platform/sweep.ts";
import { openHealth } from "./service/http/health-listener.ts";
import { readSettings } from "./service/settings/environment.ts";
import { readSecret } from "./service/settings/secret.ts";
import { onShutdown } from "./service/shutdown.ts";
import { wireBuilding } from "./wiring/building.ts";
import { hearChanges, wireChanges } from "./wiring/changes.ts";
import { wireData, type Data } from "./wiring/data.ts";
import { openListeners } from "./wiring/listeners.ts";
import { wireSandboxes } from "./wiring/sandboxes.ts";
import { controlPlaneSettings, type ControlPlaneSettings } from "./wiring/settings.ts";

type Ownership = Awaited<ReturnType<typeof becomeOwner>>;

async function main(environment: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(controlPlaneSettings, environment);
  const log = pino({ name: "control-plane" });
  const onError = (error: unknown, requestId?: string) => log.error({ err: error, requestId }, "unexpected");
  const secret = readSecret(settings.FNCTL_INTERNAL_SECRET_FILE);
  const data = await wireData(settings, onError);
  let role = "waiting";
  const health = openHealth(settings.FNCTL_HEALTH_LISTEN, () => role);
  const ownership = await own(settings, data, log);
  // When the process is told to stop during its start, it only releases the lease, so that the next control plane need not wait until it
  // expires.
  endWith(async () => {
    await ownership.release();
    process.exit(0);
  });
  const running = await run({ settings, secret, data, epoch: ownership.epoch, log, onError });
  role = "owner";
  log.info({ epoch: ownership.epoch }, "ready");

  endWith(async (signal) => {
    log.info({ signal }, "stopping");
    await running.close();
    await ownership.release();
    health.close();
    await data.close();
    process.exit(0);
  });
}

function endWith(end: (signal: string) => Promise<void>): void {
  let ending = false;
  onShutdown((signal) => {
    if (!ending) end(signal).catch(() => process.exit(1));
    ending = true;
  });
}

/** Waits until this process holds the ownership lease. */
async function own(settings: ControlPlaneSettings, data: Data, log: Logger): Promise<Ownership> {
  const ownership: Ownership = await becomeOwner({
    store: data.lease,
    holder: settings.FNCTL_HOLDER,
    hasRivals: settings.FNCTL_DRIVER === "kubernetes",
    onWaiting: () => log.info("another control plane owns the platform; waiting"),
    onLost(reason) {
      // Ends at once without cleaning up: from now on only the new owner may act.
      log.fatal({ epoch: ownership.epoch }, reason);
      process.exit(1);
    },
    onError: (error) => log.error({ err: error }, "unexpected"),
  });
  return ownership;
}

interface RunInput {
  settings: ControlPlaneSettings;
  secret: string;
  data: Data;
  epoch: number;
  log: Logger;
  onError(error: unknown, requestId?: string): void;
}
/** Starts everything an owner does, in this order; `close` ends it in the opposite order. */
async function run({ settings, secret, data, epoch, log, onError }: RunInput): Promise<{ close(): Promise<void> }> {
  const changes = wireChanges(data.system, settings.FNCTL_DRIVER === "kubernetes");
  const sandboxes = await wireSandboxes({ settings, secret, data, epoch, changes, onError });
  const building = await wireBuilding(settings, data, sandboxes, onError);
  const connection = settings.FNCTL_DB_SYSTEM;
  const onLate = (gateways: string[]) => log.warn({ gateways }, "answered before these gateways served the change");
  const hearing = await hearChanges({ changes, sandboxes, connection, onError, onLate });
  await sandboxes.reconciler.adopt();
  const sweep = createSweep({ ...data, tenantIds: data.system.tenantIds, logs: sandboxes.collector, onError });
  sweep.start();
  const listeners = await openListeners({ settings, secret, data, sandboxes, building, changes, hearing, onError });
  // Begins only now, because the check of a cluster's network also tries to reach these listeners.
  sandboxes.host.begin(sandboxes.bases.runtimes["node24"] ?? "", sandboxes.leases.gatewayEnded);
  sandboxes.reconciler.run();
  await building.run();
  await sandboxes.host.publish();
  return {
    async close() {
      await sweep.close();
      listeners.close();
      await sandboxes.reconciler.close();
      await building.close();
      await sandboxes.pool.close(false); // sandboxes stay: the next control plane adopts them
      await sandboxes.host.close();
      await hearing.close();
    },
  };
}

await main(process.env);
