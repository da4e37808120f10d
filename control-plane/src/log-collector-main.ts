// The log collector's process: it reads sandboxes' pipes, keeps log segments on disk, and serves reads. It is separate from the control
// plane and outlives it (SECURITY I3).
import { onShutdown } from "./service/shutdown.ts";
import http from "node:http";
import pino from "pino";
import { z } from "zod";
import { listenUnix } from "./service/http/listen.ts";
import { createPipeReader } from "./logs/pipes/pipes.ts";
import { createSegments } from "./logs/keep/segments.ts";
import { createCollectorListener } from "./logs/keep/server.ts";
import { absolutePath, readSettings } from "./service/settings/environment.ts";

const schema = z.object({ FNCTL_LOG_SOCKET: absolutePath, FNCTL_LOG_PIPES: absolutePath, FNCTL_LOG_DIR: absolutePath });

async function main(environment: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(schema, environment);
  const log = pino({ name: "log-collector" });
  const onError = (error: unknown) => log.error({ err: error }, "unexpected");
  const segments = createSegments(settings.FNCTL_LOG_DIR, onError);
  const pipes = createPipeReader(settings.FNCTL_LOG_PIPES, segments, onError);
  const server = http.createServer(createCollectorListener(segments));
  await listenUnix(server, settings.FNCTL_LOG_SOCKET, { mode: 0o660 });
  log.info("ready");
  const end = async () => {
    pipes.close();
    await segments.settle();
    process.exit(0);
  };
  onShutdown(() => void end());
}

await main(process.env);
