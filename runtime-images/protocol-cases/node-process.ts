// Runs the Node bootstrap as a plain process, which is quick, for all cases; cases that need a sandbox run in runsc as well.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleScript, nodeBundleOptions } from "../base/recipes.ts";
import type { Sandbox } from "./runsc.ts";

const packageRoot = join(import.meta.dirname, "..");

export async function startNodeProcess(): Promise<Sandbox> {
  const folder = await mkdtemp(join(tmpdir(), "fnctl-case-"));
  const code = join(folder, "code");
  await mkdir(code);
  await writeFile(join(folder, "bootstrap.mjs"), await bundleScript(join(packageRoot, "node/src/main.ts"), nodeBundleOptions(packageRoot)));
  const child = spawn(process.execPath, [join(folder, "bootstrap.mjs")], {
    env: { FNCTL_SOCKET: join(folder, "s"), FNCTL_CODE: code },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return {
    socket: join(folder, "s"),
    code,
    output: () => text,
    pauseOutput: (paused) => [child.stdout, child.stderr].forEach((stream) => (paused ? stream.pause() : stream.resume())),
    signal: async (name) => void child.kill(`SIG${name}`),
    exited,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
