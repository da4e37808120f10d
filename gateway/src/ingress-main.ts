// Entry point of the ingress process.
import { onShutdown } from "@fnctl/control-plane/service/shutdown";
import pino from "pino";
import { readSecret } from "@fnctl/control-plane/service/settings/secret";
import { startIngress } from "./ingress/ingress.ts";
import { readIngressSettings } from "./ingress/settings.ts";

async function main(): Promise<void> {
  // Warnings go to stderr: stdout may carry the access log.
  const log = pino({ name: "ingress" }, pino.destination({ fd: 2, sync: true }));
  const settings = readIngressSettings(process.env);
  const secret = readSecret(settings.secretFile);
  let stopping = false;
  const ingress = await startIngress(settings, secret, {
    warn: (message, facts) => log.warn(facts, message),
    drainAsked: () => void stop(0),
  });

  async function stop(code: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    await ingress.drain();
    process.exit(code);
  }
  onShutdown(() => void stop(0));
  // After an unforeseen error the state is unknown: finish running requests, then let the supervisor restart the process (SECURITY 3.3,
  // node).
  process.on("uncaughtException", (error) => {
    log.fatal({ error: error.stack }, "uncaught");
    void stop(1);
  });
  log.info({ address: ingress.address }, "listening");
}

main().catch((error: unknown) => {
  process.stderr.write(`ingress: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
