// Runs a host program with an argument vector (never a shell string), bounded in time and output.
import { spawn, type StdioOptions } from "node:child_process";

export interface ExecOptions {
  timeoutMs?: number;
  stdio?: StdioOptions;
}
/** Contains nothing of the driver's own environment. With the C locale, programs read no locale files at each start. */
export const ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
const OUTPUT_CAP = 1024 * 1024;

/** Resolves with stdout; rejects with the program's name, exit code and the end of its stderr. */
export function exec(program: string, args: readonly string[], options: ExecOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: options.stdio ?? ["ignore", "pipe", "pipe"],
      env: ENV,
      timeout: options.timeoutMs ?? 30_000,
      killSignal: "SIGKILL",
    });
    let out = "";
    let err = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => void (out.length < OUTPUT_CAP && (out += text)));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => void (err = (err + text).slice(-4000)));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${program} ${args[0] ?? ""} ended with ${signal ?? code}: ${err.trim()}`));
    });
  });
}
