// Bad days of the egress proxy: a function that opens ten thousand connections, a proxy that is killed, a control plane that is away. What is told, and
// that another tenant notices nothing. The proxy is a process of its own.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createEgressRecords } from "@fnctl/control-plane/egress/records";
import { FUNCTION_EGRESS } from "@fnctl/control-plane/contract/internal";
import { EGRESS_LIMITS } from "../../../gateway/src/egress/limits.ts";
import type { EgressProcess } from "../src/egress-process.ts";
import { openEgressPlane, type EgressPlane, type Owner } from "../src/egress-plane.ts";
import { get, openTunnel, openWay, type Tunnel, type Way } from "../src/egress-way.ts";
import { openServers, type Servers } from "../src/test-servers.ts";

const script = (name: string) => path.resolve(import.meta.dirname, `../src/${name}.ts`);
const linesOf = ({ stdout }: ChildProcess) => createInterface({ input: stdout! })[Symbol.asyncIterator]();
const AMPLE = { timeout: 30_000, interval: 100 };

describe.each([{ pods: false }, { pods: true }])("in pods: $pods", ({ pods }) => {
  let plane: EgressPlane;
  let proxy: EgressProcess;
  let servers: Servers;
  let echo: number;
  let owner: Owner;
  let other: Owner;
  let way: Way;
  let neighbour: { way: Way; tunnel: Tunnel };
  beforeAll(async () => {
    plane = await openEgressPlane({ pods, names: {} });
    await plane.startPlane();
    proxy = await plane.spawnProxy();
    servers = openServers();
    echo = await servers.tcp((socket) => socket.pipe(socket));
  });
  afterAll(async () => {
    servers.close();
    await plane.close();
  });
  beforeEach(async () => {
    [owner, other] = [await newOwner(), await newOwner()];
    way = await echoWay(owner);
    const own = await echoWay(other);
    neighbour = { way: own, tunnel: await openTunnel(own, here()) };
  });
  const here = () => `echo.example:${echo}`;
  const echoWay = (of: Owner) => openWay(plane, of, { host: "echo.example", port: echo });
  async function newOwner(): Promise<Owner> {
    const made = await plane.owner();
    await plane.ceiling(made, { addresses: "127.0.0.1", ports: [echo] });
    return made;
  }
  async function say(tunnel: Tunnel, text: string): Promise<void> {
    const before = tunnel.bytes();
    tunnel.socket.write(text);
    await expect.poll(() => tunnel.bytes()).toBe(before + text.length);
  }
  async function expectUnharmed(): Promise<void> {
    await say(neighbour.tunnel, "still here");
    const fresh = await openTunnel(neighbour.way, here());
    expect(fresh.status).toBe(200);
    fresh.socket.destroy();
    await fresh.closed;
  }

  test("ten thousand connections at once of one function: as many as it may have, the rest are told so, and all are gone afterwards", async () => {
    await expectUnharmed();
    const before = proxy.descriptors();
    const flood = spawn(process.execPath, [script("egress-flood"), JSON.stringify(way), here(), "10000"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(flood, "exit");
    const answers = linesOf(flood).next();
    let served = 0;
    for (let isOver = false; !isOver; served += 1) {
      await expectUnharmed();
      isOver = await Promise.race([answers.then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 50))]);
    }
    const found = JSON.parse((await answers).value as string) as Record<string, number>;
    expect(found).toEqual({ 200: FUNCTION_EGRESS.maxConnections, 429: 10_000 - FUNCTION_EGRESS.maxConnections });
    expect(served).toBeGreaterThan(1);
    const refused = await openTunnel(way, here());
    await refused.closed;
    expect(refused.text()).toContain(`More than ${FUNCTION_EGRESS.maxConnections} connections at once.`);
    flood.stdin.end();
    await ended;
    await expect.poll(() => proxy.descriptors(), AMPLE).toBeLessThanOrEqual(before + 4); // the proxy's own calls come and go
    expect((await openTunnel(way, here())).status).toBe(200);
  });

  test("a proxy that is killed under traffic: open tunnels break, and with the next one everything works that worked", async () => {
    const allowed = await openWay(plane, owner);
    await plane.rule(owner, "allow", here());
    const tunnels = await Promise.all([way, way, allowed, neighbour.way].map((one) => openTunnel(one, here())));
    const traffic = setInterval(() => tunnels.forEach(({ socket }) => socket.write("x")), 5);
    for (const tunnel of tunnels) await expect.poll(() => tunnel.bytes()).toBeGreaterThan(100);
    const inside = pods ? undefined : openInside(plane.at(`root/${way.instance}/s`));
    const hello = `echo.example ${echo}`;
    if (inside) expect(await inside.ask(hello)).toBe("hello");
    await proxy.end("SIGKILL");
    await Promise.all(tunnels.map(({ closed }) => closed));
    clearInterval(traffic);
    // Nobody takes what was broken off for whole.
    if (inside) expect(await inside.ask("fate")).toBe("ECONNRESET");
    if (inside) expect(await inside.ask(hello)).toMatch(/ECONN|ENOTFOUND|ESERVFAIL/);
    expect((await openTunnel(way, here())).status).toBe(0);
    await plane.rule(owner, "deny", "denied.example"); // the control plane goes on
    proxy = await plane.spawnProxy();
    for (const one of [way, allowed, neighbour.way]) {
      const tunnel = await openTunnel(one, here());
      expect(tunnel.status).toBe(200);
      await say(tunnel, "hello");
    }
    if (inside) await expect.poll(() => inside.ask(hello)).toBe("hello"); // a failed answer counts for a second
    inside?.end();
    expect((await openTunnel(way, `other.example:${echo}`)).status).toBe(403);
    await plane.rule(owner, "deny", here());
    await expect.poll(async () => (await openTunnel(way, here())).status).toBe(403);
    expect((await openTunnel(neighbour.way, here())).status).toBe(200);
  });

  if (!pods)
    test("a control plane that is away is told afterwards what happened meanwhile: records up to a number, and usage once in sum", async () => {
      const { recordsPerTenant } = EGRESS_LIMITS;
      const records = createEgressRecords(plane.api.platform.db, (error) => Promise.reject(error));
      const recordsOf = (of: Owner) => records.list(of.id, { refused: false, limit: 2 * recordsPerTenant });
      const usageOf = async (of: Owner) =>
        ((await (await plane.call(of.token, "GET", "/v1/egress/usage")).json()) as { items: object[] }).items;
      async function move(of: Way, times: number): Promise<void> {
        for (let left = times; left > 0; left -= 50)
          await Promise.all(
            Array.from({ length: Math.min(left, 50) }, async () => {
              const tunnel = await openTunnel(of, here());
              await say(tunnel, "12345");
              tunnel.socket.destroy();
            }),
          );
      }
      await move(way, 1);
      await expect.poll(async () => (await recordsOf(owner)).length, AMPLE).toBe(1);
      await plane.stopPlane();
      await move(way, recordsPerTenant + 5);
      await move(neighbour.way, 3);
      await expectUnharmed();
      await plane.startPlane();
      const all = 1 + recordsPerTenant;
      await expect.poll(async () => (await recordsOf(owner)).length, AMPLE).toBe(all);
      expect(await recordsOf(other)).toHaveLength(4);
      const moved = 1 + recordsPerTenant + 5;
      const sum = (times: number) => [{ connections: times, bytesUp: 5 * times, bytesDown: 5 * times }];
      await expect.poll(() => usageOf(owner), AMPLE).toMatchObject(sum(moved));
      // A proxy that is stopped tells what it has not told yet.
      await move(way, 1);
      await proxy.end("SIGTERM");
      expect(await usageOf(owner)).toMatchObject(sum(moved + 1));
      expect(await recordsOf(owner)).toHaveLength(all + 1);
      expect((await recordsOf(owner))[0]?.record.notLogged).toBe(5); // those that had no room
      proxy = await plane.spawnProxy();
      expect((await openTunnel(way, here())).status).toBe(200);
    });

  if (pods)
    test("a control plane that is away gives no new credential; the old one counts meanwhile, and the next attempt gets one", async () => {
      await plane.stopPlane();
      expect(await get(way, "/credential")).toMatchObject({ status: 503, text: expect.stringContaining("UNAVAILABLE") });
      expect((await openTunnel(way, here())).status).toBe(200);
      await expectUnharmed();
      await plane.startPlane();
      expect(await get(way, "/credential")).toMatchObject({ status: 200 });
    });
});

/** A client inside a network namespace of its own. Undefined where this machine does not let us have one. */
function openInside(socket: string) {
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  const command = `ip link set lo up && exec "$0" "$1" "$2"`;
  const child = spawn("unshare", ["--net", "sh", "-c", command, process.execPath, script("egress-inside"), socket], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = linesOf(child);
  return {
    async ask(line: string): Promise<string> {
      child.stdin.write(`${line}\n`);
      return (await lines.next()).value as string;
    },
    end: () => void child.stdin.end(),
  };
}
