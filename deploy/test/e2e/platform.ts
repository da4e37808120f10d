// Starts and ends platforms as a user does, with `up.sh`, each with its own state folder and port.
import { spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../../..");

export interface PlatformAccess {
  url: string;
  port: number;
  stateDir: string;
  config: string;
  cli: string;
  env: Record<string, string>;
}
export interface UpResult {
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
    server.on("error", reject);
  });
}

/** Chooses folder and port of a new platform; starts nothing. */
export async function newPlatform(tenant = "acme", more: Record<string, string> = {}): Promise<PlatformAccess> {
  const stateDir = await mkdtemp(path.join(os.tmpdir(), "fnctl-e2e-"));
  const port = await freePort();
  const config = path.join(stateDir, "cli.yaml");
  const env = { FNCTL_STATE_DIR: stateDir, FNCTL_LISTEN: `127.0.0.1:${port}`, FNCTL_CONFIG: config, FNCTL_TENANT: tenant, ...more };
  return { url: `http://localhost:${port}`, port, stateDir, config, cli: path.join(stateDir, "app/fnctl.mjs"), env };
}

/** Runs `up.sh` with these arguments; never throws for an exit code. */
export function runUp(args: string[], env: Record<string, string>): Promise<UpResult> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn("bash", [path.join(root, "deploy/single/up.sh"), ...args], { env: { ...process.env, ...env }, timeout: 300_000 });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.end();
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr, ms: performance.now() - begun }));
  });
}

export async function start(platform: PlatformAccess): Promise<UpResult> {
  const result = await runUp(["--detach", "--no-examples"], platform.env);
  if (result.code !== 0) throw new Error(`up ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result;
}
export async function stop(platform: PlatformAccess): Promise<UpResult> {
  const result = await runUp(["--down"], platform.env);
  if (result.code !== 0) throw new Error(`down ended with ${result.code}\n${result.stderr}`);
  return result;
}
