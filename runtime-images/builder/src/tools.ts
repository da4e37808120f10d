// Runs npm, uv and Python: no shell, a closed environment, output as build log lines, killed at the deadline.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { BuilderEvent } from "./protocol.ts";

export type Emit = (event: BuilderEvent) => void;
export interface ToolRun {
  cwd: string;
  env: Record<string, string>;
  signal: AbortSignal;
  emit: Emit;
}
export interface ToolResult {
  code: number;
  /** The last lines of stderr. */
  tail: string[];
}

const TAIL_LINES = 200;

export async function runTool(command: string, args: readonly string[], options: ToolRun): Promise<ToolResult> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
    signal: options.signal,
    killSignal: "SIGKILL",
  });
  const tail: string[] = [];
  const follow = async (input: Readable, stream: "stdout" | "stderr"): Promise<void> => {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (stream === "stderr" && tail.push(line) > TAIL_LINES) tail.shift();
      options.emit({ type: "log", stream, text: line.slice(0, 4000) });
    }
  };
  const closed = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
  const [code] = await Promise.all([closed, follow(child.stdout, "stdout"), follow(child.stderr, "stderr")]);
  return { code, tail };
}
