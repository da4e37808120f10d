// Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it. It stays, whatever the
// version's rules: its tenant may allow a name at any time, and what is refused shall be told.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { EGRESS_SOCKET_PATH, NAMES_PROGRAM, type InitRequest } from "./protocol.ts";

const unref = (stream: Readable | Writable): void => (stream as typeof stream & { unref(): void }).unref();

/** Called at init, resolves when names are resolved; a pod's egress proxy knows the sandbox by what `init` says. */
export type Names = (egress: InitRequest["egress"]) => Promise<void>;

/** `proxy`: in a pod, where the egress proxy is. Where the sandbox has no way out, nothing is started. */
export function startNames(proxy: string | undefined): Names {
  const where = proxy ?? (existsSync(EGRESS_SOCKET_PATH) ? EGRESS_SOCKET_PATH : undefined);
  if (where === undefined) return () => Promise.resolve();
  // Its input ends with this process, and it with its input.
  const child = spawn("/usr/bin/perl", [NAMES_PROGRAM, where], { stdio: ["pipe", "pipe", "inherit"], env: {} });
  const { stdin: input, stdout: output } = child;
  child.on("error", () => undefined).unref();
  input.on("error", () => undefined); // it is the function's own, which may end it
  unref(input);
  unref(output);
  const begun = new Promise<void>((resolve) => output.once("data", () => resolve()).once("close", () => resolve()));
  return (egress) => {
    if (egress !== undefined) input.write(`${egress.credential}\n`);
    return begun;
  };
}
