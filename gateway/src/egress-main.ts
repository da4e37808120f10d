// Entry point of the egress proxy process.
import { onShutdown } from "@fnctl/control-plane/service/shutdown";
import { startEgress } from "./egress/egress.ts";
import { readEgressSettings } from "./egress/settings.ts";
import { readSecret } from "@fnctl/control-plane/service/settings/secret";

async function main(): Promise<void> {
  const settings = readEgressSettings(process.env);
  const egress = await startEgress(settings, readSecret(settings.secretFile));
  let stopping = false;
  async function stop(code: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    await egress.stop();
    process.exit(code);
  }
  onShutdown(() => void stop(0));
  process.on("uncaughtException", (error) => {
    process.stderr.write(`egress: ${error.stack}\n`);
    void stop(1);
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`egress: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
