// The egress proxy as a process of its own, for tests that look at its memory and its sockets, or kill it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const MAIN = path.resolve(import.meta.dirname, "../../../gateway/src/egress-main.ts");

export function spawnEgress(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit").then(() => undefined);
  const of = (name: string) => `/proc/${child.pid}/${name}`;
  const kilobytes = (field: string) => 1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(of("status"), "utf8"))?.[1]);
  return {
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
      child.kill(signal);
      return ended;
    },
    /** Resident memory, bytes; the most of it is counted from here on (proc(5), clear_refs). */
    memory(): number {
      writeFileSync(of("clear_refs"), "5");
      return kilobytes("VmRSS");
    },
    mostMemory: () => kilobytes("VmHWM"),
    descriptors: () => readdirSync(of("fd")).length,
  };
}
export type EgressProcess = ReturnType<typeof spawnEgress>;
