// Kills a driver process in the middle of a start; for tests.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import path from "node:path";
import type { RunscHost } from "./runsc-host.ts";

/** Sends SIGKILL `delayMs` after `file` of the sandbox (its folder, bundle, pid file ...) exists. Returns the sandbox's id. */
export async function abandonStart(host: RunscHost, file: string, delayMs = 0): Promise<string> {
  const spec = host.spec();
  const script = path.join(import.meta.dirname, "start-in-child.ts");
  const child = spawn(process.execPath, [script, JSON.stringify(host.options), JSON.stringify(spec)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  const mark = path.join(host.layout.instance(spec.id).folder, file);
  while (!existsSync(mark) && child.exitCode === null) await sleep(1);
  await sleep(delayMs);
  child.kill("SIGKILL");
  await ended;
  return spec.id;
}
