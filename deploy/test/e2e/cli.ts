// Runs the bundled CLI as a user would: a process of its own, with the platform's context.
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

/** `fnctl ...args` in `cwd`; never throws for an exit code. */
export function fnctl(args: string[], options: { cwd?: string; input?: string; env?: Record<string, string> } = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env["PATH"], HOME: platform.stateDir, FNCTL_CONFIG: platform.config, NO_COLOR: "1", ...options.env };
    const child = spawn(process.execPath, [platform.cli, ...args], { cwd: options.cwd ?? "/", env, timeout: 120_000 });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.end(options.input ?? "");
  });
}
