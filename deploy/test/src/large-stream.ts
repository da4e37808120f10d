// A change feed of any size and gateways that read it, each in a process of its own (`large-feed.ts`, `large-replica.ts`).
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export interface Size {
  tokens: number;
  routes: number;
}
const SECRET = "s".repeat(64);

/** The next message; rejects when the process ends before it. */
export function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error("the process has ended"));
    child.once("exit", ended).once("message", (value) => {
      child.off("exit", ended);
      resolve(value);
    });
  });
}

/** `heapMib`: a process that needs more ends. */
export function createLargeStream(heapMib: number) {
  const folder = mkdtempSync(path.join(tmpdir(), "feed-"));
  const socket = path.join(folder, "control");
  const children: ChildProcess[] = [];
  function start(file: string, args: string[]): ChildProcess {
    const execArgv = ["--expose-gc", `--max-old-space-size=${heapMib}`];
    const child = fork(path.join(import.meta.dirname, file), [socket, SECRET, ...args], { execArgv });
    children.push(child);
    return child;
  }
  return {
    socket,
    secret: SECRET,
    /** Resolves when it listens; in the place of one that has ended. */
    async controlPlane({ tokens, routes }: Size): Promise<ChildProcess> {
      rmSync(socket, { force: true });
      const child = start("large-feed.ts", [String(tokens), String(routes)]);
      await message(child);
      return child;
    },
    /** Resolves when it has all that there is; `wholeMs` from its begin to then. */
    async gateway(): Promise<{ child: ChildProcess; wholeMs: number }> {
      const child = start("large-replica.ts", []);
      const { whole } = (await message(child)) as { whole: number };
      return { child, wholeMs: whole };
    },
    async ask(child: ChildProcess, order: string): Promise<Record<string, unknown>> {
      const answer = message(child);
      child.send(order);
      return (await answer) as Record<string, unknown>;
    },
    close(): void {
      for (const child of children) child.kill("SIGKILL");
      rmSync(folder, { recursive: true });
    },
  };
}
export type LargeStream = ReturnType<typeof createLargeStream>;
