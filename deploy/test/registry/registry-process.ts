// Starts a real registry for a test file: distribution on loopback, with a folder that is removed when it ends.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import { stringify } from "yaml";

export const onPath = (program: string): boolean => spawnSync("which", [program]).status === 0;

export interface RegistryOptions {
  /** `registry`: distribution 3, among the test cluster's tools. `docker-registry`: Debian's distribution 2.8. */
  program?: "registry" | "docker-registry";
  /** Parts of its configuration file. */
  auth?: Record<string, unknown>;
  http?: Record<string, unknown>;
  /** A former registry, to start again with the same port and content. */
  again?: Pick<RegistryProcess, "folder" | "port">;
}
export interface RegistryProcess {
  host: string;
  port: number;
  folder: string;
  stop(): Promise<void>;
  /** Ends it and removes what it kept. */
  close(): Promise<void>;
}
const START_MS = 20_000;

export async function startRegistry({ program = "registry", auth, http, again }: RegistryOptions = {}): Promise<RegistryProcess> {
  const folder = again?.folder ?? (await mkdtemp(path.join(tmpdir(), "fnctl-registry-")));
  const port = again?.port ?? (await freePort());
  const host = `127.0.0.1:${port}`;
  const file = path.join(folder, "config.yaml");
  const config = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: path.join(folder, "data") }, delete: { enabled: true } },
    http: { addr: host, secret: "test", ...http },
    ...(auth === undefined ? {} : { auth }),
  };
  await writeFile(file, stringify(config));
  // The registry ends with the test process, however that ends.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", program, "serve", file], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], OTEL_TRACES_EXPORTER: "none" },
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4000)));
  child.on("error", (error) => (said += String(error)));
  const scheme = http?.["tls"] === undefined ? "http" : "https";
  await answering(`${scheme}://${host}/v2/`, child, () => said);
  const stop = () => ended(child);
  return { host, port, folder, stop, close: async () => (await stop(), rm(folder, { recursive: true, force: true })) };
}

async function answering(url: string, child: ChildProcess, said: () => string): Promise<void> {
  for (const until = Date.now() + START_MS; Date.now() < until; await sleep(50)) {
    if (child.exitCode !== null) break;
    const found = await request(url).then(
      ({ body }) => body.dump().then(() => true),
      (error: Error) => /certificate/.test(error.message), // the registry is up and speaks TLS
    );
    if (found) return;
  }
  await ended(child);
  throw new Error(`${child.spawnargs[3]} did not start:\n${said()}`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => void child.once("exit", resolve).kill("SIGKILL"));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}
