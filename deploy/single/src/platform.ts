// Prepares, starts and stops one platform, each part in its order.
import { chmod, cp, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { BUILD_QUEUE, BUILD_QUEUE_OPTIONS } from "@fnctl/control-plane/builds/queue";
import { createDriverClient } from "@fnctl/control-plane/sandbox/rpc";
import { migrate } from "@fnctl/migrations/migrate";
import { prepareBases } from "./bases.ts";
import { bundleCli, bundleServices } from "./bundle.ts";
import { waitForSandbox } from "./first-sandbox.ts";
import { reportGatewayEnd } from "./gateway-end.ts";
import { prepareFolders } from "./folders.ts";
import { removeLeftovers } from "./leftovers.ts";
import { createParts, sockets } from "./parts.ts";
import { initPostgres, installPostgres, postgresArgs, prepareEmbedded, prepareOutside } from "./postgres.ts";
import { createSupervisor, type Supervisor } from "./processes.ts";
import type { Progress } from "./progress.ts";
import { findRegistries } from "./registries.ts";
import { ensureRunsc } from "./runsc.ts";
import type { Settings } from "./settings.ts";
import { ensureUsers } from "./users.ts";
import { waitForSocket, waitForHealth } from "./wait.ts";

const root = path.resolve(import.meta.dirname, "../../..");

/** Copies the Node binary to a place where the services' users can read it. */
async function installNode(cacheDir: string): Promise<string> {
  const target = path.join(cacheDir, `node-${process.versions.node}`);
  if (existsSync(target)) return target;
  await cp(process.execPath, `${target}.${process.pid}`);
  await chmod(`${target}.${process.pid}`, 0o755);
  await rename(`${target}.${process.pid}`, target);
  return target;
}

/** Builds and fetches what is missing on this machine; on later starts it only checks. */
export async function prepare(settings: Settings, progress: Progress) {
  await mkdir(settings.cacheDir, { recursive: true, mode: 0o755 });
  const users = await progress.step("users and folders", () => ensureUsers());
  const folders = await prepareFolders(settings, users);
  const runsc = await progress.step("gVisor", (say) => ensureRunsc(settings.cacheDir, say));
  const registries = await progress.step("package registries", (say) => findRegistries(settings.stateDir, say));
  const { node, postgres } = await progress.step("services", async () => {
    await bundleServices(folders.state.app);
    await bundleCli(path.join(folders.state.app, "fnctl.mjs"));
    return { node: await installNode(settings.cacheDir), postgres: await installPostgres(settings.cacheDir) };
  });
  await progress.step("runtime images", (say) => prepareBases({ cacheDir: settings.cacheDir, folders, users, node, say }));
  const caBundle = await copyCaBundle(settings, folders.state.app);
  return { settings, users, folders, runsc, registries, node, postgres, caBundle };
}
export type Prepared = Awaited<ReturnType<typeof prepare>>;

async function copyCaBundle(settings: Settings, folder: string): Promise<string | undefined> {
  if (settings.caBundle === undefined) return undefined;
  const target = path.join(folder, "ca.pem"); // the services cannot read the operator's own file
  await writeFile(target, await readFile(settings.caBundle), { mode: 0o644 });
  return target;
}

/** Starts every part; if one does not come up, the parts already started are stopped again. */
export async function startPlatform(prepared: Prepared, progress: Progress, onNote: (line: string) => void) {
  const supervisor = createSupervisor(onNote);
  const stop = async () => {
    await stopParts(supervisor, sockets(prepared.folders).driver, onNote);
    await removeLeftovers(prepared.settings).catch((error: unknown) => onNote(String(error)));
  };
  try {
    await startParts(prepared, progress, supervisor, onNote);
  } catch (error) {
    await stop();
    throw error;
  }
  return { supervisor, stop };
}

/** Drains and then stops everything. Sandboxes are stopped after the gateway, because requests still run in them while it drains. */
async function stopParts(supervisor: Supervisor, driverSocket: string, onNote: (line: string) => void): Promise<void> {
  supervisor.beginStop();
  await supervisor.stop("gateway");
  await supervisor.stop("control-plane");
  const driver = await createDriverClient(driverSocket).catch(() => undefined);
  if (driver !== undefined)
    await Promise.all((await driver.list()).map((instance) => driver.stop(instance.id).catch((error: unknown) => onNote(String(error)))));
  for (const name of ["driver", "egress", "log-collector", "example-postgres", "example-api", "postgres"]) await supervisor.stop(name);
}

async function startParts(prepared: Prepared, progress: Progress, supervisor: Supervisor, note: (line: string) => void): Promise<void> {
  const { settings, folders, users } = prepared;
  const parts = createParts(prepared);
  const socket = sockets(folders);

  const connections = await progress.step("Postgres", async () => {
    if (settings.databaseUrl !== undefined) return prepareOutside(settings.databaseUrl, folders.state.secrets);
    const data = await initPostgres(prepared.postgres, folders, users);
    const logFile = path.join(folders.state.serviceLogs, "postgres.log");
    const program = path.join(prepared.postgres, "native/bin/postgres");
    supervisor.start({
      name: "postgres",
      program,
      args: postgresArgs(data, folders),
      env: { LANG: "C.UTF-8" },
      ids: users.ids.postgres,
      logFile,
      stopSignal: "SIGINT",
      stopMs: 20_000,
    });
    return prepareEmbedded(folders);
  });
  await progress.step("migrations", () =>
    migrate({
      owner: { connectionString: connections.owner },
      folder: path.join(root, "migrations/sql"),
      queues: { [BUILD_QUEUE]: BUILD_QUEUE_OPTIONS },
    }),
  );
  await progress.step("sandbox driver, egress proxy, log collector", async () => {
    for (const part of [parts.driver, parts.egress, parts.collector]) supervisor.start(part);
    await Promise.all([socket.driver, socket.egressAdmin, socket.collector].map((file) => waitForSocket(file)));
  });
  await progress.step("control plane and gateway", async () => {
    supervisor.start(parts.controlPlane(connections));
    const report = (gateway: string) =>
      void reportGatewayEnd(socket.control, folders.secret, gateway).catch((error: unknown) => note(String(error)));
    supervisor.start({ ...parts.gateway, runs: { variable: "FNCTL_GATEWAY_ID", onEnd: report } });
    await waitForSocket(socket.control);
    await waitForHealth(socket.gatewayAdmin); // healthy means that the gateway holds the route table
  });
  await progress.step("first sandbox", () => waitForSandbox(socket.control, folders.secret, parts.driver.logFile));
}
export type Platform = Awaited<ReturnType<typeof startPlatform>>;
