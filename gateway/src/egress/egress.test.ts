// The proxy as a sandbox meets it: its Unix socket, real TCP servers behind it, names under the test's control.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { send, until, type Answer } from "../testing/platform.ts";
import { startEgress, type Egress } from "./egress.ts";
import { readEgressSettings } from "./settings.ts";

const SECRET = "e".repeat(64);
const TENANT = "00000000-0000-4000-8000-000000000001";
let folder: string;
let egress: Egress;
let names: Record<string, string[]>;
let asked: string[];
const servers: Server[] = [];

const at = (name: string): string => join(folder, name);
async function start(env: Record<string, string> = {}): Promise<void> {
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
    return names[host] ?? [];
  });
}
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "eg-"));
  names = { "good.example": ["127.0.0.1"], "a.wild.example": ["127.0.0.1"], localhost: ["127.0.0.1"] };
  asked = [];
  await start();
});
afterEach(async () => {
  await egress.stop();
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }); // sockets may go while it looks
});

/** A server that keeps what it gets; `greet` speaks first. */
async function tcpServer(
  onSocket: (socket: Socket) => void = () => {},
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
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, got: () => Buffer.concat(chunks).toString("latin1"), sockets };
}
const control = (method: string, instance: string, body?: unknown, secret = SECRET): Promise<Answer> =>
  send(
    { socketPath: at("control"), method, path: `/internal/v1/sources/${instance}`, headers: { authorization: `Bearer ${secret}` } },
    body === undefined ? undefined : JSON.stringify(body),
  );
const rules = (ports: number[], overrides: Partial<EgressSource> = {}): EgressSource => ({
  tenantId: TENANT,
  label: "fn",
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
  /** All after the head. */
  got: () => string;
  closed: () => boolean;
}
function dial(
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
/** What a TLS client sends first for this server name. */
async function clientHello(servername: string): Promise<Buffer> {
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
const records = (): Record<string, unknown>[] =>
  readFileSync(at("log"), "utf8")
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("sources", () => {
  it("makes a folder with one socket that any uid may use", async () => {
    const answer = await control("PUT", "i1", rules([443]));
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { folder: join(at("root"), "i1") }]);
    expect(readdirSync(join(at("root"), "i1"))).toEqual(["s"]);
    expect(statSync(join(at("root"), "i1", "s")).mode & 0o777).toBe(0o666);
    expect((await control("GET", "i1")).status).toBe(200);
    expect((await control("DELETE", "i1")).status).toBe(204);
    expect((await control("DELETE", "i1")).status).toBe(204);
    expect((await control("GET", "i1")).status).toBe(404);
    expect(readdirSync(at("root"))).toEqual([".state"]);
  });
  it("wants the secret, a good id and a good body", async () => {
    expect((await control("PUT", "i1", rules([443]), "wrong")).status).toBe(401);
    expect((await control("PUT", "i1", { ...rules([443]), extra: 1 })).status).toBe(400);
    expect((await control("PUT", "i1", { ...rules([443]), maxBytes: 0 })).status).toBe(400);
    for (const id of ["..", ".state", "a%2fb", "a/b"]) expect((await control("PUT", id, rules([443]))).status).toBeGreaterThanOrEqual(400);
    expect(readdirSync(at("root"))).toEqual([".state"]);
  });
  it("finds an owner once and never changes hands", async () => {
    expect((await control("PUT", "i1", rules([443], { tenantId: null, allow: [] }))).status).toBe(200);
    expect((await dial("good.example:443")).status).toBe(403);
    expect((await control("PUT", "i1", rules([443]))).status).toBe(200);
    expect((await control("PUT", "i1", rules([443]))).status).toBe(200);
    expect((await control("PUT", "i1", rules([443], { tenantId: null }))).status).toBe(409);
    expect((await control("PUT", "i1", rules([443], { tenantId: "00000000-0000-4000-8000-000000000002" }))).status).toBe(409);
  });
  it("come back after a restart, at the same sockets", async () => {
    const server = await tcpServer((socket) => socket.end("hi"));
    await control("PUT", "i1", rules([server.port]));
    await egress.stop();
    await start();
    const tunnel = await dial(`good.example:${server.port}`);
    await until(() => tunnel.got() === "hi");
  });
});

describe("tunnels", () => {
  it("carries both ways, counts, and logs whose it was", async () => {
    const server = await tcpServer((socket) => {
      socket.write("220 hello\r\n");
      socket.on("data", () => socket.end("bye"));
    });
    await control("PUT", "i1", rules([server.port]));
    const tunnel = await dial(`good.example:${server.port}`);
    expect(tunnel.status).toBe(200);
    await until(() => tunnel.got() === "220 hello\r\n");
    tunnel.socket.write("\x00\x01binary");
    await until(() => tunnel.got() === "220 hello\r\nbye" && server.got() === "\x00\x01binary");
    tunnel.socket.end();
    await until(() => records().length === 1);
    expect(records()[0]).toMatchObject({
      tenant: TENANT,
      label: "fn",
      instance: "i1",
      target: `good.example:${server.port}`,
      address: "127.0.0.1",
      bytesUp: 8,
      bytesDown: 14,
    });
    expect(asked).toEqual(["good.example"]);
  });

  it("admits one label under a wildcard", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    expect((await dial(`a.wild.example:${server.port}`)).status).toBe(200);
    for (const host of ["wild.example", "a.b.wild.example", "evil-wild.example"])
      expect((await dial(`${host}:${server.port}`)).status).toBe(403);
  });

  it("refuses what is not listed without asking for its address", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    for (const authority of [
      "evil.example:443",
      `evil.example:${server.port}`,
      "good.example:22",
      `127.0.0.1:${server.port}`,
      `2130706433:${server.port}`,
      `0x7f.1:${server.port}`,
      `localhost.:${server.port}`,
      `[::1]:${server.port}`,
      `a@good.example:${server.port}`,
      `good.example.:${server.port}`,
    ]) {
      const tunnel = await dial(authority, { host: "x" });
      expect([authority, tunnel.status]).toEqual([authority, 403]);
      tunnel.socket.destroy();
    }
    expect(asked).toEqual([]);
    expect(server.sockets.size).toBe(0);
  });

  it("refuses names that lead inside, alone or among good addresses (rebinding)", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    for (const addresses of [
      ["169.254.169.254"],
      ["127.0.0.1", "169.254.169.254"],
      ["::ffff:127.0.0.1"],
      ["127.0.0.2"],
      ["fd00:ec2::254"],
      ["8.8.8.8", "::1"],
    ]) {
      names["mixed.example"] = addresses;
      const tunnel = await dial(`mixed.example:${server.port}`);
      expect([addresses, tunnel.status]).toEqual([addresses, 403]);
    }
    expect((await dial(`nowhere.example:${server.port}`)).status).toBe(503);
    expect(server.sockets.size).toBe(0);
  });

  it("dials the address that was checked, not the name again", async () => {
    const server = await tcpServer((socket) => socket.end("right"));
    await control("PUT", "i1", rules([server.port]));
    names["bad.example"] = ["127.0.0.1"];
    const pending = dial(`bad.example:${server.port}`);
    await until(() => asked.length === 1);
    names["bad.example"] = ["169.254.169.254"];
    const tunnel = await pending;
    await until(() => tunnel.got() === "right");
    expect(asked).toEqual(["bad.example"]);
  });

  it("speaks CONNECT only, and one Host", async () => {
    await control("PUT", "i1", rules([443]));
    const plain = await dial("", { request: "GET http://good.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n" });
    expect(plain.status).toBe(405);
    await until(() => plain.got().includes("CONNECT only"));
    expect((await dial("good.example:443", { host: "evil.example:443" })).status).toBe(403);
    expect(
      (await dial("", { request: "CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\nHost: evil.example\r\n\r\n" })).status,
    ).toBe(403);
  });
});

describe("the first flight (B5: SNI and Host agree)", () => {
  it("passes a ClientHello for the host, whole or in pieces", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    const hello = await clientHello("good.example");
    await dial(`good.example:${server.port}`, { first: hello });
    await until(() => server.got() === hello.toString("latin1"));
    const slow = await dial(`good.example:${server.port}`);
    for (const byte of [hello.subarray(0, 1), hello.subarray(1, 4), hello.subarray(4, 50), hello.subarray(50)]) {
      slow.socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => server.got() === hello.toString("latin1").repeat(2));
  });
  it("lets nothing out for another name, or none", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    for (const name of ["evil.example", ""]) {
      const tunnel = await dial(`good.example:${server.port}`, { first: await clientHello(name) });
      await until(() => tunnel.closed());
    }
    for (const first of [
      "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
      "\x16\x02\x01\x00\x05hello",
      "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
    ]) {
      const tunnel = await dial(`good.example:${server.port}`, { first: Buffer.from(first, "latin1") });
      await until(() => tunnel.closed());
    }
    expect(server.got()).toBe("");
  });
  it("passes plain HTTP with the right Host", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    await dial(`good.example:${server.port}`, { first: `GET / HTTP/1.1\r\nHost: good.example:${server.port}\r\n\r\n` });
    await until(() => server.got().startsWith("GET / HTTP/1.1"));
  });
});

describe("caps", () => {
  it("cuts a source at its bytes and admits nothing after", async () => {
    const server = await tcpServer((socket) => socket.write(Buffer.alloc(2_000_000)));
    await control("PUT", "i1", rules([server.port], { maxBytes: 100_000 }));
    const tunnel = await dial(`good.example:${server.port}`);
    await until(() => tunnel.closed());
    expect((await dial(`good.example:${server.port}`)).status).toBe(429);
    await until(() => records().some((record) => record["outcome"] === "byte-limit"));
  });
  it("counts connections per source", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port], { maxConnections: 2 }));
    await control("PUT", "i2", rules([server.port], { maxConnections: 2 }));
    const open = [await dial(`good.example:${server.port}`), await dial(`good.example:${server.port}`)];
    expect((await dial(`good.example:${server.port}`)).status).toBe(429);
    expect((await dial(`good.example:${server.port}`, { instance: "i2" })).status).toBe(200);
    open[0]?.socket.destroy();
    await until(async () => {
      const tunnel = await dial(`good.example:${server.port}`);
      tunnel.socket.destroy();
      return tunnel.status === 200;
    });
  });
  it("ends all tunnels of a removed source", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    const tunnel = await dial(`good.example:${server.port}`);
    await control("DELETE", "i1");
    await until(() => tunnel.closed() && server.sockets.size === 0);
  });
});

describe("an operator's own proxy", () => {
  it("gets the name, with its credentials, after the same checks", async () => {
    let head = "";
    const proxy = await tcpServer((socket) =>
      socket.once("data", (chunk: Buffer) => {
        head = chunk.toString();
        socket.write("HTTP/1.1 200 OK\r\n\r\nearly");
      }),
    );
    await egress.stop();
    await start({ FNCTL_EGRESS_UPSTREAM_PROXY: `http://me:pw@127.0.0.1:${proxy.port}` });
    await control("PUT", "i1", rules([443, 25]));
    const tunnel = await dial("nowhere.example:25");
    await until(() => tunnel.got() === "early");
    expect(head).toBe(
      `CONNECT nowhere.example:25 HTTP/1.1\r\nhost: nowhere.example:25\r\nproxy-authorization: Basic ${Buffer.from("me:pw").toString("base64")}\r\n\r\n`,
    );
    names["bad.example"] = ["10.0.0.1"];
    expect((await dial("bad.example:443")).status).toBe(403);
  });
});
