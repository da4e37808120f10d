// Bind mounts in the middle of a cold start. Node has no mount call, and forking the driver for each mount(8) took 3 to 5 ms of 15; a
// small shell that waits for work forks in half of that.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { BIND_FLAGS } from "./mounts.ts";
import { ENV } from "./exec.ts";

/** Reads a source and a target, one a line, and answers one line: `ok` or mount(8)'s error. Paths are data, never part of the script. */
const SCRIPT = `while IFS= read -r source && IFS= read -r target; do
  if said=$(mount ${BIND_FLAGS.join(" ")} "$source" "$target" 2>&1); then echo ok; else echo "failed: $said" | tr '\\n' ' '; echo; fi
done`;
type Shell = ChildProcessByStdio<Writable, Readable, null>;

export interface MountShell {
  /** Bind-mounts `source` at `target`. Paths must not contain a line break. */
  bind(source: string, target: string): Promise<void>;
}

export function createMountShell(): MountShell {
  let shell: Shell | undefined;
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];

  function start(): Shell {
    const child = spawn("/bin/sh", ["-c", SCRIPT], { stdio: ["pipe", "pipe", "ignore"], env: ENV });
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) answer(line);
    });
    child.stdin.on("error", () => undefined); // its end is reported by `close`
    child.on("error", ended).on("close", ended);
    child.unref(); // the shell ends at the end of its input, and so with the driver
    (child.stdin as unknown as Socket).unref();
    return child;
  }
  function answer(line: string): void {
    const next = waiting.shift();
    if (line === "ok") next?.resolve();
    else next?.reject(new Error(`mount --bind ${line}`));
    if (waiting.length === 0) (shell?.stdout as unknown as Socket | undefined)?.unref(); // an idle shell keeps no process alive
  }
  /** Rejects all waiting calls, because it is not known whether their mounts were made; the next call starts a new shell. */
  function ended(): void {
    shell = undefined;
    for (const { reject } of waiting.splice(0)) reject(new Error("The shell that mounts has ended."));
  }

  return {
    bind(source, target) {
      if (`${source}${target}`.includes("\n")) return Promise.reject(new Error("A path holds a line break."));
      shell ??= start();
      const { stdin, stdout } = shell;
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        (stdout as unknown as Socket).ref();
        stdin.write(`${source}\n${target}\n`);
      });
    },
  };
}
