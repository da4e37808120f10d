// SIGTERM while a process still loads, and after it called `onShutdown`. It runs as the first process of a pid namespace, where unhandled
// signals do nothing.
import { spawn } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";

const module = JSON.stringify(pathToFileURL(path.join(import.meta.dirname, "shutdown.ts")).href);
const isRoot = process.getuid?.() === 0;

/** Runs `script` as process 1, sends SIGTERM once it has printed something, and resolves with its exit code and output. */
function asFirst(script: string): Promise<{ code: number | null; said: string }> {
  const program = process.execPath;
  const args = ["--pid", "--fork", "--kill-child", program, "--input-type=module", "-e", script];
  const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    // The signal must go to unshare's child, which is process 1.
    const killing = spawn("pkill", ["-TERM", "-P", String(child.pid)]);
    killing.on("error", (error) => child.emit("error", error));
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, said });
    });
  });
}

describe.skipIf(!isRoot)(`SIGTERM${isRoot ? "" : " (skipped: a pid namespace needs root)"}`, () => {
  test("ends a process that still loads", async () => {
    const loading = `import ${module}; console.log("loading"); await new Promise((resolve) => setTimeout(resolve, 60_000));`;
    expect((await asFirst(loading)).code).toBe(143);
  });

  test("without it, nothing does (the test sees the difference)", async () => {
    const deaf = `console.log("deaf"); setTimeout(() => process.exit(7), 2_000);`;
    expect((await asFirst(deaf)).code).toBe(7);
  });

  test("is the process's own affair once it has said how it ends", async () => {
    const own = `import { onShutdown } from ${module}; onShutdown((signal) => { console.log(signal); process.exit(5); });
      console.log("ready"); setInterval(() => undefined, 1_000);`;
    expect(await asFirst(own)).toEqual({ code: 5, said: "ready\nSIGTERM\n" });
  });
});
