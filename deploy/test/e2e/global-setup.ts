// One real platform for the whole suite, in a state folder and on a port of its own, started the way a user starts it.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    platform: PlatformAccess;
  }
}
export interface PlatformAccess {
  url: string;
  stateDir: string;
  config: string;
  cli: string;
  env: Record<string, string>;
}
const root = path.resolve(import.meta.dirname, "../../..");

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
    server.on("error", reject);
  });
}

function up(args: string[], env: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", [path.join(root, "deploy/single/up.sh"), ...args], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env },
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`up.sh ${args.join(" ")} ended with ${code}`))));
  });
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stateDir = await mkdtemp(path.join(os.tmpdir(), "fnctl-e2e-"));
  const port = await freePort();
  const config = path.join(stateDir, "cli.yaml");
  const env = { FNCTL_STATE_DIR: stateDir, FNCTL_LISTEN: `127.0.0.1:${port}`, FNCTL_CONFIG: config, FNCTL_TENANT: "acme" };
  await up(["--detach", "--no-examples"], env);
  project.provide("platform", { url: `http://localhost:${port}`, stateDir, config, cli: path.join(stateDir, "app/fnctl.mjs"), env });
  return async () => {
    await up(["--down"], env);
    await rm(stateDir, { recursive: true, force: true });
  };
}
