// Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { EGRESS_SOCKET_PATH, NAMES_PROGRAM, type InitRequest } from "./protocol.ts";

/** Called once, at init; resolves when names are resolved. The program ends when there is nothing to reach. */
export type GiveNames = (allowed: InitRequest["egress"]) => Promise<void>;

const unref = (stream: Readable | Writable): void => (stream as typeof stream & { unref(): void }).unref();

/** Where the sandbox has no way out, nothing is started. */
export function startNames(): GiveNames {
  if (!existsSync(EGRESS_SOCKET_PATH)) return async () => undefined;
  const child = spawn("/usr/bin/perl", [NAMES_PROGRAM, EGRESS_SOCKET_PATH], { stdio: ["pipe", "pipe", "inherit"], env: {} });
  const { stdin: input, stdout: output } = child;
  child.on("error", () => undefined).unref();
  input.on("error", () => undefined); // it is the function's own, which may end it
  const ready = new Promise<void>((resolve) => output.once("data", () => resolve()).once("close", () => resolve()));
  unref(input);
  unref(output);
  return async (allowed) => {
    if (allowed === undefined) return void input.end();
    input.write(`${allowed.map(({ host, ports }) => [host, ...ports].join(" ")).join("\n")}\n\n`);
    await ready;
  };
}
