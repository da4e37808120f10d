// Explains to the tenant why a version's code did not load. Where the bootstrap hangs or is gone and so cannot say why, the driver knows
// how the sandbox ended, and the log has the last lines that it printed.
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";
import { NoInitAnswer } from "../../sandbox-client/instance-client.ts";
import type { ImageRef, Sandbox, SandboxDriver } from "../../sandbox/driver.ts";

/** How long the driver is asked again: a connection ends before its process is gone, on a busy machine by hundreds of milliseconds. */
const END_NOTICE_MS = 1_000;
const END_POLL_MS = 50;
/** How long to wait for the last printed lines, which are still on their way through a pipe. */
const OUTPUT_NOTICE_MS = 300;
const OUTPUT_CHARACTERS = 4_000;

export interface LoadWitness {
  driver: Pick<SandboxDriver, "list">;
  /** The last lines that the instance printed. */
  lastOutput(image: ImageRef, instance: string): Promise<string[]>;
}

/**
 * Replaces NoInitAnswer by an explained error; any other error stays as it is. It asks the driver, so the instance must not be stopped
 * before.
 */
export async function explainLoadFailure(error: unknown, id: string, image: ImageRef, witness: LoadWitness): Promise<unknown> {
  if (!(error instanceof NoInitAnswer)) return error;
  const [what, hint] = explanation(error.timedOut ? "timeout" : await endOf(id, witness.driver));
  await sleep(OUTPUT_NOTICE_MS);
  const lines = await witness.lastOutput(image, id).catch(() => []);
  const facts = lines.length === 0 ? {} : { output: lines.join("\n").slice(-OUTPUT_CHARACTERS) };
  return new PlatformError("INIT_FAILED", what, { hint, facts, cause: error });
}

/** How the sandbox ended; undefined when it still runs. */
async function endOf(id: string, driver: LoadWitness["driver"]): Promise<Sandbox["ended"]> {
  for (const until = Date.now() + END_NOTICE_MS; ; await sleep(END_POLL_MS)) {
    const instances = await driver.list().catch(() => undefined);
    const found = instances?.find((instance) => instance.id === id);
    if (instances !== undefined && found === undefined) return { reason: "exited", detail: "The sandbox is gone." };
    if (found?.ended !== undefined || Date.now() > until) return found?.ended;
  }
}

function explanation(end: Sandbox["ended"] | "timeout"): [what: string, hint: string] {
  if (end === "timeout")
    return [
      "The function was still being loaded when its time was over.",
      "Look for a loop without end, or for something that is waited for and never comes, where the module is imported.",
    ];
  if (end === undefined)
    return [
      "The function broke off its connection to the platform while it was being loaded.",
      "Look for code that closes or writes to sockets and files which it did not open.",
    ];
  if (end.reason === "oom")
    return [
      `The function ran out of memory while it was being loaded. ${end.detail}`,
      "Set a larger `memory` in fnctl.yaml, or load less where the module is imported.",
    ];
  return [
    `The function's process ended while it was being loaded. ${end.detail}`,
    "Look for process.exit, os._exit or native code that crashes, where the module is imported.",
  ];
}

/** Rethrows the error for a function's clients, who are told that the load failed but nothing of the code's own output. */
export function hideLoadFailure(error: unknown): never {
  if (!(error instanceof PlatformError) || error.code !== "INIT_FAILED") throw error;
  throw new PlatformError("INIT_FAILED", "The function could not be loaded.", {
    hint: "Its owner finds the reason with `fnctl logs` and `fnctl describe`.",
  });
}
