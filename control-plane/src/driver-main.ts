// The root process: the sandbox driver's verbs on a Unix socket, nothing else (SECURITY I2).
import { onShutdown } from "./service/shutdown.ts";
import pino from "pino";
import { z } from "zod";
import { listenUnix } from "./service/http/listen.ts";
import { createDriverServer } from "./sandbox/rpc.ts";
import { createRunscDriver } from "./sandbox/runsc/driver.ts";
import { absolutePath, readSettings, wholeNumber } from "./service/settings/environment.ts";

const schema = z.object({
  FNCTL_DRIVER_SOCKET: absolutePath,
  FNCTL_RUNSC: absolutePath,
  FNCTL_RUN_DIR: absolutePath,
  FNCTL_BASES_DIR: absolutePath,
  FNCTL_LAYERS_DIR: absolutePath,
  FNCTL_EGRESS_ROOT: absolutePath,
  FNCTL_CONTROL_UID: wholeNumber,
  FNCTL_DATA_GID: wholeNumber,
  FNCTL_LOG_GID: wholeNumber,
  FNCTL_EGRESS_UID: wholeNumber,
  FNCTL_CGROUP_PARENT: z.string().regex(/^\/[a-z0-9-]{1,60}$/),
});

async function main(environment: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(schema, environment);
  const log = pino({ name: "driver" });
  const driver = await createRunscDriver({
    binary: settings.FNCTL_RUNSC,
    paths: {
      runDir: settings.FNCTL_RUN_DIR,
      basesDir: settings.FNCTL_BASES_DIR,
      layersDir: settings.FNCTL_LAYERS_DIR,
      egressDir: settings.FNCTL_EGRESS_ROOT,
    },
    dataGid: settings.FNCTL_DATA_GID,
    logGid: settings.FNCTL_LOG_GID,
    egressUid: settings.FNCTL_EGRESS_UID,
    cgroupParent: settings.FNCTL_CGROUP_PARENT,
    onError: (error) => log.error({ err: error }, "unexpected"),
  });
  const server = createDriverServer(driver, (error) => log.warn({ err: error }, "a verb failed"));
  await listenUnix(server, settings.FNCTL_DRIVER_SOCKET, { uid: settings.FNCTL_CONTROL_UID, mode: 0o600 });
  log.info("ready");
  // Sandboxes outlive the driver; the supervisor stops them first, by the driver's verbs, when it stops the platform.
  onShutdown(() => server.close(() => process.exit(0)));
}

await main(process.env);
