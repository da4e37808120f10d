// Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it. It stays, whatever the
// version's rules: its tenant may allow a name at any time, and what is refused shall be told.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { EGRESS_SOCKET_PATH, NAMES_PROGRAM, type InitRequest } from "./protocol.ts";

const unref = (stream: Readable | Writable): void => (stream as typeof stream & { unref(): void }).unref();

/** A line begins with the time of CLOCK_MONOTONIC, seconds; `performance.now` begins with this process. */
const STAMPED = /^(\d+\.\d+) (.*)$/;
const MONOTONIC = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Called at init, resolves when names are resolved; a pod's egress proxy knows the sandbox by what `init` says. */
export type Names = (egress: InitRequest["egress"]) => Promise<void>;

/** `proxy`: in a pod, where the egress proxy is. `say`: gets each line for the function's log, and when it was written (`performance.now`). Where the sandbox has no way out, nothing is started. */
export function startNames(proxy: string | undefined, say: (line: string, at: number) => void): Names {
  const where = proxy ?? (existsSync(EGRESS_SOCKET_PATH) ? EGRESS_SOCKET_PATH : undefined);
  if (where === undefined) return () => Promise.resolve();
  // Its input ends with this process, and it with its input.
  const child = spawn("/usr/bin/perl", [NAMES_PROGRAM, where], { stdio: ["pipe", "pipe", "pipe"], env: {} });
  const { stdin: input, stdout: output, stderr: log } = child;
  child.on("error", () => undefined).unref();
  input.on("error", () => undefined); // it is the function's own, which may end it
  for (const stream of [input, output, log]) unref(stream);
  let rest = "";
  log.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, at = "", said = line] = STAMPED.exec(line) ?? [];
      say(said, Number(at) * 1000 - MONOTONIC);
    }
  });
  const begun = new Promise<void>((resolve) => output.once("data", () => resolve()).once("close", () => resolve()));
  return (egress) => {
    if (egress !== undefined) input.write(`${egress.credential}\n`);
    return begun;
  };
}
