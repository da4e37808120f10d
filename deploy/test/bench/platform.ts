// A platform of the benchmark's own, started as a user starts it, with functions deployed by the real CLI.
import { spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createDriverClient } from "@fnctl/control-plane/sandbox/rpc";
import type { Sandbox } from "@fnctl/control-plane/sandbox/driver";
import { readSettings } from "../../single/src/settings.ts";
import { newPlatform, start, stop } from "../e2e/platform.ts";
import { createApiClient, tokenIn, type ApiClient } from "../src/api-client.ts";

export const TENANT = "bench";

export interface BenchPlatform {
  port: number;
  token: string;
  stateDir: string;
  client: ApiClient;
  /** Writes the files into a folder and deploys it; returns the events that `fnctl deploy --json` printed. */
  deploy(name: string, files: Record<string, string>, settings?: string): Promise<DeployEvent[]>;
  instances(): Promise<Sandbox[]>;
  /** Resolves when no instance of a function runs and the pool holds `pooled` idle sandboxes. */
  settled(pooled: number): Promise<void>;
  stop(): Promise<void>;
}
export interface DeployEvent {
  type: string;
  phase?: string;
  state?: string;
  ms?: number;
  totalMs?: number;
}

function run(program: string, args: string[], env: Record<string, string>, cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
    child
      .on("error", reject)
      .on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${program} ${args.join(" ")}: ${err.slice(-2000)}`))));
  });
}

export async function startPlatform(more: Record<string, string> = {}): Promise<BenchPlatform> {
  const platform = await newPlatform(TENANT, more);
  const { port, stateDir, env } = platform;
  await start(platform);
  const token = tokenIn(platform.config);
  const driver = await createDriverClient(path.join(readSettings(env).runDir, "driver/s"));
  const instances = () => driver.list();
  return {
    port,
    token,
    stateDir,
    client: createApiClient({ url: platform.url, tenant: TENANT, token: () => token }),
    instances,
    async deploy(name, files, settings = "") {
      const folder = path.join(stateDir, "sources", name);
      await mkdir(folder, { recursive: true });
      const all = { "fnctl.yaml": `name: ${name}\n${settings.includes("runtime:") ? "" : "runtime: node24\n"}${settings}`, ...files };
      for (const [file_, text] of Object.entries(all)) {
        await mkdir(path.dirname(path.join(folder, file_)), { recursive: true });
        await writeFile(path.join(folder, file_), text);
      }
      const out = await run(process.execPath, [path.join(stateDir, "app/fnctl.mjs"), "deploy", "--json"], env, folder);
      return out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as DeployEvent);
    },
    async settled(pooled) {
      for (;;) {
        const all = (await instances()).filter(({ kind }) => kind === "function");
        if (all.every(({ image }) => image === undefined) && all.filter(({ state }) => state === "idle").length >= pooled) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async stop() {
      await stop(platform);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}
