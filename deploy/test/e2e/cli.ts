// Runs the bundled CLI as a user would, in a separate process and with the platform's context.
import { spawn } from "node:child_process";
import path from "node:path";
import { inject } from "vitest";

const platform = inject("platform");
export const examples = path.resolve(import.meta.dirname, "../../../examples");

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

interface Options {
  cwd?: string;
  input?: string;
  env?: Record<string, string>;
}
export interface Running {
  /** The output so far. */
  stdout(): string;
  /** Sends the signal of Ctrl-C. */
  interrupt(): void;
  ended: Promise<CliResult>;
}

/** Runs `fnctl ...args` in `cwd`; never throws for an exit code. */
export const fnctl = (args: string[], options: Options = {}): Promise<CliResult> => startFnctl(args, options).ended;

/** Starts a command that runs until it is interrupted. */
export function startFnctl(args: string[], options: Options = {}): Running {
  const env = { PATH: process.env["PATH"], HOME: platform.stateDir, FNCTL_CONFIG: platform.config, NO_COLOR: "1", ...options.env };
  const child = spawn(process.execPath, [platform.cli, ...args], { cwd: options.cwd ?? "/", env, timeout: 120_000 });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(options.input ?? "");
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
  return { stdout: () => stdout, interrupt: () => void child.kill("SIGINT"), ended };
}
