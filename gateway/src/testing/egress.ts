// An egress proxy for tests: a sandbox's Unix socket, real TCP servers behind it, and name resolution that the test controls.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { afterEach, beforeEach } from "vitest";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { send, until, type Answer } from "./platform.ts";
import { startEgress, type Egress } from "../egress/egress.ts";
import { readEgressSettings } from "../egress/settings.ts";

const SECRET = "e".repeat(64);
export const TENANT = "00000000-0000-4000-8000-000000000001";
let folder: string;
let egress: Egress;
/** The addresses of names, which the test may change, and the names that were asked for. */
export let names: Record<string, string[]>;
export let asked: string[];
/** Names on which name resolution hangs, until what they are mapped to is called. */
export const hanging = new Map<string, (() => void)[]>();
const servers: Server[] = [];

export const at = (name: string): string => join(folder, name);
export const stop = (): Promise<void> => egress.stop();
export async function start(env: Record<string, string> = {}): Promise<void> {
  const settings = readEgressSettings({
    FNCTL_EGRESS_ROOT: at("root"),
    FNCTL_EGRESS_CONTROL_SOCKET: at("control"),
    FNCTL_INTERNAL_SECRET_FILE: "/unused",
    FNCTL_EGRESS_ALLOW_PRIVATE: "127.0.0.1/32",
    FNCTL_EGRESS_LOG: at("log"),
    ...env,
  });
  egress = await startEgress(settings, SECRET, async (host) => {
    asked.push(host);
    const waiting = hanging.get(host);
    if (waiting !== undefined) await new Promise<void>((resolve) => waiting.push(resolve));
    return names[host] ?? [];
  });
  await until(() => existsSync(at("log"))); // it is opened in its own time, and its folder is the test's
}
/** Gives every test of the calling file a proxy of its own. */
export function eachTestItsOwn(): void {
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "eg-"));
    names = { "good.example": ["127.0.0.1"], "a.wild.example": ["127.0.0.1"], localhost: ["127.0.0.1"] };
    asked = [];
    await start();
  });
  afterEach(async () => {
    await egress.stop();
    for (const server of servers.splice(0)) server.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }); // sockets may vanish meanwhile
  });
}

/** A TCP server that keeps the bytes it gets; `onSocket` may speak first. */
export async function tcpServer(
  onSocket: (socket: Socket) => void = () => {},
  address = "127.0.0.1",
): Promise<{ port: number; got: () => string; sockets: Set<Socket> }> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    onSocket(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return { port: (server.address() as AddressInfo).port, got: () => Buffer.concat(chunks).toString("latin1"), sockets };
}
export const control = (method: string, instance: string, body?: unknown, secret = SECRET): Promise<Answer> =>
  send(
    { socketPath: at("control"), method, path: `/internal/v1/sources/${instance}`, headers: { authorization: `Bearer ${secret}` } },
    body === undefined ? undefined : JSON.stringify(body),
  );
export const rules = (ports: number[], overrides: Partial<EgressSource> = {}): EgressSource => ({
  tenantId: TENANT,
  functionId: null,
  version: 0,
  label: "fn",
  kind: "build",
  allow: ["good.example", "*.wild.example", "bad.example", "mixed.example", "nowhere.example", "localhost", "127.0.0.1"].map((host) => ({
    host,
    ports,
  })),
  maxBytes: 1_000_000,
  maxConnections: 5,
  ...overrides,
});

interface Tunnel {
  socket: Socket;
  status: number;
  head: string;
  /** All bytes after the head. */
  got: () => string;
  closed: () => boolean;
}
export function dial(
  authority: string,
  options: { instance?: string; host?: string; first?: string | Buffer; request?: string } = {},
): Promise<Tunnel> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: join(at("root"), options.instance ?? "i1", "s"), allowHalfOpen: true });
    let bytes = Buffer.alloc(0);
    let closed = false;
    let end = -1;
    socket
      .on("error", () => (closed = true))
      .once("error", reject)
      .on("end", () => (closed = true))
      .on("close", () => (closed = true));
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (end !== -1) return;
      end = bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = bytes.subarray(0, end).toString("latin1");
      resolve({
        socket,
        head,
        status: Number(head.split(" ")[1]),
        got: () => bytes.subarray(end + 4).toString("latin1"),
        closed: () => closed,
      });
    });
    socket.write(options.request ?? `CONNECT ${authority} HTTP/1.1\r\nHost: ${options.host ?? authority}\r\n\r\n`);
    if (options.first !== undefined) socket.write(options.first);
  });
}
/** The first bytes that a TLS client sends for this server name. */
export async function clientHello(servername: string): Promise<Buffer> {
  let hello = Buffer.alloc(0);
  const sink = createServer((socket) =>
    socket.on("data", (chunk: Buffer) => (hello = Buffer.concat([hello, chunk]))).on("error", () => {}),
  );
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  const client = tlsConnect({
    port: (sink.address() as AddressInfo).port,
    host: "127.0.0.1",
    ...(servername === "" ? {} : { servername }),
  });
  client.on("error", () => {});
  await until(() => hello.length > 5 && hello.length >= 5 + hello.readUInt16BE(3));
  client.destroy();
  sink.close();
  return hello;
}
export const records = (): Record<string, unknown>[] =>
  readFileSync(at("log"), "utf8")
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
