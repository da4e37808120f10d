// Real servers of several kinds on the address that stands for the outside: Postgres, Redis, MariaDB, gRPC.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { startTestPostgres } from "../src/test-postgres.ts";
import { until } from "../e2e/until.ts";

export interface Servers {
  pgPort: number;
  close(): Promise<void>;
}
const PACKAGES = ["redis-tools", "mariadb-server-core"];
/** Debian has Redis' server and its checker as one program, which looks at its name. */
const REDIS = "/usr/bin/redis-check-rdb";
const MARIADB = "/usr/sbin/mariadbd";
const GRPC_PORT = 50_051;

/** `address`: this machine's own, on which they listen; `clients`: who may come to Postgres (CIDR). A text: why they cannot be started here. */
export async function startServers(address: string, clients: string): Promise<Servers | string> {
  if (!(await installed())) return `Debian packages are needed that cannot be installed here: ${PACKAGES.join(", ")}`;
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-servers-"));
  const postgres = await startTestPostgres({ address, clients });
  const children = [await startRedis(folder, address), await startMaria(folder, address)];
  const grpc = await startGrpc(address);
  return {
    pgPort: Number(new URL(postgres.tcp).port),
    async close() {
      for (const child of children) await ended(child);
      grpc.forceShutdown();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function installed(): Promise<boolean> {
  const there = () => existsSync(REDIS) && existsSync(MARIADB);
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...PACKAGES];
  for (const args of [install, ["update", "-qq"], install]) if (!there()) await run("apt-get", args).catch(() => undefined);
  return there();
}
const run = promisify(execFile);

async function startRedis(folder: string, address: string): Promise<ChildProcess> {
  const args = ["--bind", address, "--port", "6379", "--save", "", "--protected-mode", "no", "--dir", folder];
  const child = spawn(REDIS, args, { argv0: "redis-server", stdio: "ignore" });
  await listening(address, 6379);
  return child;
}
async function startMaria(folder: string, address: string): Promise<ChildProcess> {
  const data = path.join(folder, "maria");
  await mkdir(data);
  const args = ["--no-defaults", `--datadir=${data}`, "--user=root", "--skip-grant-tables", `--bind-address=${address}`];
  const child = spawn(MARIADB, [...args, "--port=3306", `--socket=${path.join(folder, "maria.sock")}`], { stdio: "ignore" });
  await listening(address, 3306);
  return child;
}
async function startGrpc(address: string): Promise<Server> {
  const server = new Server();
  const same = (value: Buffer): Buffer => value;
  const codec = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
  server.addService(
    { say: { path: "/echo.Echo/Say", requestStream: false, responseStream: false, ...codec } },
    { say: (asked: { request: Buffer }, answer: (error: null, value: Buffer) => void) => answer(null, asked.request) },
  );
  await promisify(server.bindAsync.bind(server))(`${address}:${GRPC_PORT}`, ServerCredentials.createInsecure());
  return server;
}

const takesConnections = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, address, () => resolve(true)).on("error", () => resolve(false));
    socket.once("close", () => undefined).unref();
    setTimeout(() => socket.destroy(), 200).unref();
  });
const listening = (address: string, port: number) =>
  until(
    () => takesConnections(address, port),
    (there) => there,
  );
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
