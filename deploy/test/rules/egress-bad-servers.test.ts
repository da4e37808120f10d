// Servers outside that stall, reset, pour or do not read: what the function that asked them is told, and that another tenant notices nothing. The
// proxy is a process of its own, whose memory is looked at.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EgressProcess } from "../src/egress-process.ts";
import { openEgressPlane, type EgressPlane, type Owner } from "../src/egress-plane.ts";
import { answerOf, get, openPlain, openTunnel, openWay, textOf, type Tunnel, type Way } from "../src/egress-way.ts";
import { openServers, type Servers } from "../src/test-servers.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** What the kernel and both sides' streams may hold of a connection whose reader waits. */
const IN_FLIGHT = 64 * MIB;
/** What the proxy's memory may grow by while it carries many times as much: garbage that is not collected yet. */
const GROWTH = 160 * MIB;
const CHUNK = Buffer.alloc(256 * 1024, "x");
/** An address of loopback on which nobody else listens on port 443. */
const OWN_ADDRESS = "127.83.41.7";

/** Writes as much as is taken, up to so many bytes; `written` tells how much it was. */
function pour(into: Writable, bytes: number) {
  let left = bytes;
  function more(): void {
    while (left > 0) {
      left -= CHUNK.length;
      if (!into.write(CHUNK)) return void into.once("drain", more);
    }
    into.end();
  }
  into.on("error", () => undefined);
  more();
  return { written: () => bytes - left };
}
/** Resolves with the last value when it has not changed for a while. */
async function settled(value: () => number): Promise<number> {
  for (let before = -1; before !== value(); await new Promise((resolve) => setTimeout(resolve, 500))) before = value();
  return value();
}

// A gigabyte at the door that is quick; at the other one less, because it is the same code behind it.
describe.each([
  { pods: false, bytes: GIB / 4 },
  { pods: true, bytes: GIB },
])("in pods: $pods", ({ pods, bytes }) => {
  let plane: EgressPlane;
  let proxy: EgressProcess;
  let servers: Servers;
  let owner: Owner;
  let neighbour: { way: Way; tunnel: Tunnel };
  let echo: number;
  beforeAll(async () => {
    const env = { FNCTL_EGRESS_FUNCTION_PRIVATE: `127.0.0.1/32,${OWN_ADDRESS}/32` };
    plane = await openEgressPlane({ pods, env, names: { "plain.example": OWN_ADDRESS } });
    await plane.startPlane();
    proxy = await plane.spawnProxy();
    servers = openServers();
    echo = await servers.tcp((socket) => socket.pipe(socket));
    [owner, neighbour] = [await plane.owner(), await openNeighbour()];
  });
  afterAll(async () => {
    servers.close();
    await plane.close();
  });
  /** Another tenant's, whose connection stays. */
  async function openNeighbour() {
    const other = await plane.owner();
    await plane.ceiling(other, { addresses: "127.0.0.1", ports: [echo] });
    const way = await openWay(plane, other, { host: "echo.example", port: echo });
    const tunnel = await openTunnel(way, `echo.example:${echo}`);
    expect(tunnel.status).toBe(200);
    return { way, tunnel };
  }
  async function expectUnharmed(): Promise<void> {
    const before = neighbour.tunnel.bytes();
    neighbour.tunnel.socket.write("still here");
    await expect.poll(() => neighbour.tunnel.bytes()).toBe(before + 10);
    const fresh = await openTunnel(neighbour.way, `echo.example:${echo}`);
    expect(fresh.status).toBe(200);
    fresh.socket.destroy();
  }
  afterEach(expectUnharmed);

  /** A way to one bad server. */
  async function wayTo(port: number): Promise<Way> {
    await plane.ceiling(owner, { addresses: "127.0.0.0/8", ports: [port] });
    return openWay(plane, owner, { host: "bad.example", port }, { host: "plain.example", port });
  }
  const outcomes = async () => {
    const { items } = (await (await plane.call(owner.token, "GET", "/v1/egress/log")).json()) as {
      items: { outcome: string; target: string }[];
    };
    return items.map(({ target, outcome }) => `${target} ${outcome}`);
  };

  test("that take connections and never answer keep nobody else waiting, and are let go with their clients", async () => {
    const stalled = new Set<Socket>();
    const port = await servers.tcp((socket) => stalled.add(socket.on("close", () => stalled.delete(socket)).resume()));
    const way = await wayTo(port);
    const tunnels = await Promise.all(Array.from({ length: 100 }, () => openTunnel(way, `bad.example:${port}`)));
    const asking = Array.from({ length: 100 }, () => openPlain(way, "GET", `http://bad.example:${port}/`).end());
    expect(tunnels.map(({ status }) => status)).toEqual(tunnels.map(() => 200));
    await expect.poll(() => stalled.size).toBe(200);
    await expectUnharmed();
    for (const { socket } of tunnels) socket.destroy();
    for (const request of asking) request.destroy();
    await expect.poll(() => stalled.size).toBe(0);
  });

  test("that reset in the middle: a tunnel breaks, an answer is cut, and a request without an answer is told so", async () => {
    const port = await servers.tcp((socket) =>
      socket.on("data", (chunk: Buffer) => {
        if (chunk.includes("/none")) return void socket.resetAndDestroy();
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun", () => setTimeout(() => socket.resetAndDestroy(), 100));
      }),
    );
    const way = await wayTo(port);
    const tunnel = await openTunnel(way, `bad.example:${port}`);
    tunnel.socket.write("hello");
    await tunnel.closed;
    expect(tunnel.text()).toContain("begun");
    if (pods) expect(tunnel.error()).toBe("ECONNRESET"); // a Unix socket only closes; names.pl makes a reset of it
    const cut = await answerOf(openPlain(way, "GET", `http://bad.example:${port}/part`).end());
    await expect(textOf(cut)).rejects.toThrow(/aborted|ECONNRESET/);
    const none = await get(way, `http://bad.example:${port}/none`);
    expect(none).toMatchObject({ status: 503, text: expect.stringContaining("did not answer in HTTP/1.") });
    await expect.poll(outcomes).toContain(`bad.example:${port} upstream-error`);
  });

  test("that stop reading stop their clients, and the proxy keeps nothing for them", async () => {
    const port = await servers.tcp((socket) => socket.pause());
    const way = await wayTo(port);
    const before = proxy.memory();
    const tunnel = await openTunnel(way, `bad.example:${port}`);
    const post = openPlain(way, "POST", `http://bad.example:${port}/`);
    const pours = [pour(tunnel.socket, GIB), pour(post, GIB)];
    for (const { written } of pours) expect(await settled(written)).toBeLessThan(IN_FLIGHT);
    expect(proxy.mostMemory() - before).toBeLessThan(GROWTH);
    tunnel.socket.destroy();
    post.destroy();
  });

  describe("that send a gigabyte wait for a slow reader, and the proxy's memory stays as it is", () => {
    async function expectSlow(written: () => number, reader: Socket | IncomingMessage): Promise<void> {
      expect(await settled(written)).toBeLessThan(IN_FLIGHT);
      await expectUnharmed();
      reader.resume();
    }
    test("in a tunnel", async () => {
      let written = (): number => 0;
      const port = await servers.tcp((socket) => ({ written } = pour(socket.resume(), bytes)));
      const before = proxy.memory();
      const tunnel = await openTunnel(await wayTo(port), `bad.example:${port}`);
      tunnel.socket.pause();
      await expectSlow(() => written(), tunnel.socket);
      await tunnel.closed;
      expect(tunnel.bytes()).toBeGreaterThanOrEqual(bytes);
      expect(proxy.mostMemory() - before).toBeLessThan(GROWTH);
    });
    test("as an answer to a plain request", async () => {
      let written = (): number => 0;
      const port = await servers.http((_request, response) => void ({ written } = pour(response, bytes)));
      const before = proxy.memory();
      const answer = await answerOf(openPlain(await wayTo(port), "GET", `http://bad.example:${port}/`).end());
      let read = 0;
      answer.on("data", (chunk: Buffer) => (read += chunk.length)).pause();
      await expectSlow(() => written(), answer);
      await once(answer, "end");
      expect(read).toBe(bytes);
      expect(proxy.mostMemory() - before).toBeLessThan(GROWTH);
    });
  });

  test("that speak no TLS on port 443 are seen by the client's TLS; a client that speaks none there is cut before a byte is out", async () => {
    const got: number[] = []; // of each connection
    const greet = (socket: Socket): void => {
      const own = got.push(0) - 1;
      // The greeting may be lost to whoever reads the proxy's answer; what is not understood is told in any case.
      socket.write("220 mail.example\r\n");
      socket.on("data", ({ length }: Buffer) => {
        got[own] = got[own]! + length;
        socket.write("500 what?\r\n");
      });
    };
    const port = await servers.tcp(greet, OWN_ADDRESS, 443);
    const way = await wayTo(port);
    const secure = await openTunnel(way, `plain.example:${port}`);
    const tls = tlsConnect({ socket: secure.socket, servername: "plain.example" });
    const [error] = (await once(tls, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^ERR_SSL_/);
    await secure.closed;
    const plain = await openTunnel(way, `plain.example:${port}`);
    plain.socket.write("EHLO function\r\n");
    await plain.closed;
    expect(got[1]).toBe(0);
    await expect.poll(outcomes).toContain(`plain.example:${port} refused: Only TLS is spoken to port 443.`);
  });
});
