// What functions move is told to their tenant by days, and capped by days: from connections through the proxy to the answer of the API.
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { createEgressUsage } from "@fnctl/control-plane/egress/usage";
import { openEgressPlane, type EgressPlane, type Owner } from "../src/egress-plane.ts";
import { get, openTunnel, openWay, textOf, answerOf, openPlain, type Tunnel, type Way } from "../src/egress-way.ts";
import { openServers, type Servers } from "../src/test-servers.ts";

interface Use {
  day: string;
  function: string | null;
  connections: number;
  bytesUp: number;
  bytesDown: number;
  openMs: number;
}
const CAP = 100_000;
const DAY_MS = 24 * 3600 * 1000;
const today = () => new Date().toISOString().slice(0, 10);

const usageOf = async (plane: EgressPlane, owner: Owner, query = ""): Promise<Use[]> =>
  ((await (await plane.call(owner.token, "GET", `/v1/egress/usage${query}`)).json()) as { items: Use[] }).items;

describe.each([{ pods: false }, { pods: true }])("in pods: $pods", ({ pods }) => {
  let plane: EgressPlane;
  let servers: Servers;
  let owner: Owner;
  let way: Way;
  /** Says back what it is told. */
  let echo: number;
  /** Says more than a day's cap as soon as it is spoken to. */
  let flood: number;
  beforeAll(async () => {
    plane = await openEgressPlane({ pods, env: { FNCTL_EGRESS_DAY_CAPS: JSON.stringify({ functionBytes: CAP }) } });
    await plane.startPlane();
    await plane.startProxy();
    servers = openServers();
    echo = await servers.tcp((socket) => socket.pipe(socket));
    flood = await servers.tcp((socket) => socket.once("data", () => socket.write(Buffer.alloc(2 * CAP, "x"))));
  });
  afterAll(async () => {
    servers.close();
    await plane.close();
  });
  beforeEach(async () => {
    owner = await newOwner();
    way = await wayOf(owner);
  });
  afterEach(() => servers.hangUp());
  async function newOwner(): Promise<Owner> {
    const made = await plane.owner();
    await plane.ceiling(made, { addresses: "127.0.0.1", ports: [echo, flood] });
    return made;
  }
  const wayOf = (of: Owner) => openWay(plane, of, { host: "echo.example", port: echo }, { host: "flood.example", port: flood });
  async function say(tunnel: Tunnel, text: string): Promise<void> {
    tunnel.socket.write(text);
    await expect.poll(() => tunnel.text()).toContain(text);
  }

  test("what passed is told by day and function, sums of all connections, and another tenant sees nothing", async () => {
    let openMs = 0;
    for (const text of ["hello", "and again"]) {
      const tunnel = await openTunnel(way, `echo.example:${echo}`);
      const begun = performance.now();
      await say(tunnel, text);
      openMs += Math.floor(performance.now() - begun);
      tunnel.socket.destroy();
    }
    expect((await openTunnel(way, `other.example:${echo}`)).status).toBe(403); // which is no connection
    const sum = { day: today(), function: "hello", connections: 2, bytesUp: 14, bytesDown: 14 };
    await expect.poll(() => usageOf(plane, owner)).toMatchObject([sum]);
    await expect.poll(async () => (await usageOf(plane, owner))[0]!.openMs).toBeGreaterThanOrEqual(openMs - 5); // each end is told when it comes
    expect(await usageOf(plane, owner, "?function=hello")).toHaveLength(1);
    expect(await usageOf(plane, owner, "?function=other")).toEqual([]);
    expect(await usageOf(plane, await newOwner())).toEqual([]);
  });

  test("a report that comes twice counts once, one of another proxy's for itself, and days that are too old go", async () => {
    const use = (day: string, bytesUp: number) => ({
      tenantId: owner.id,
      functionId: owner.functionId,
      day,
      connections: 1,
      bytesUp,
      bytesDown: 0,
      openMs: 1,
    });
    const report = async (proxy: string, ...uses: ReturnType<typeof use>[]) =>
      expect(await plane.ask(plane.at("feed"), "POST", INTERNAL_PATHS.egressUsage, { proxy, uses })).toMatchObject({ status: 200 });
    const [last, gone] = [LIMITS.egressUsageDays - 1, LIMITS.egressUsageDays].map((days) =>
      new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10),
    ) as [string, string];
    await report("one", use(today(), 7), use(last, 3));
    await report("one", use(today(), 7));
    await report("one", use(today(), 5)); // an older one, which was late
    await report("other", use(today(), 7));
    const all = `?days=${LIMITS.egressUsageDays}`;
    expect((await usageOf(plane, owner, all)).map(({ day, bytesUp }) => [day, bytesUp])).toEqual([
      [today(), 14],
      [last, 3],
    ]);
    // As it was told when it was not too old yet; the next report of the tenant's takes it away.
    const before = createEgressUsage(
      plane.api.platform.db,
      (error) => Promise.reject(error),
      () => Date.now() - DAY_MS,
    );
    const daysThen = async () => (await before.list(owner.id, { days: LIMITS.egressUsageDays })).map(({ day }) => day);
    await before.keep("one", [use(gone, 1)]);
    expect(await daysThen()).toEqual([today(), last, gone]);
    await report("one", use(today(), 8));
    expect(await daysThen()).toEqual([today(), last]);
    await expect(usageOf(plane, owner, `?days=${LIMITS.egressUsageDays + 1}`)).rejects.toThrow(/400/);
  });

  test("a function over its day's cap is cut and told so; another function and another tenant go on", async () => {
    const otherFunction = await wayOf({ ...owner, functionId: (await plane.api.platform.deploy(owner.id, "second")).version.functionId });
    const otherTenant = await wayOf(await newOwner());
    const neighbours = await Promise.all([otherFunction, otherTenant].map((one) => openTunnel(one, `echo.example:${echo}`)));
    const [idle, busy] = [await openTunnel(way, `echo.example:${echo}`), await openTunnel(way, `flood.example:${flood}`)];
    expect([idle.status, busy.status]).toEqual([200, 200]);
    busy.socket.write("begin");
    await busy.closed;
    const refused = await openTunnel(way, `echo.example:${echo}`);
    expect(refused.status).toBe(429);
    await refused.closed;
    expect(refused.text()).toContain("QUOTA_EXCEEDED");
    expect(refused.text()).toContain("FNCTL_EGRESS_DAY_CAPS");
    expect(await get(way, `http://echo.example:${echo}/`)).toMatchObject({ status: 429, text: expect.stringContaining("QUOTA_EXCEEDED") });
    // What is open is cut by the next byte that it moves.
    idle.socket.write("one more");
    await idle.closed;
    for (const neighbour of neighbours) await say(neighbour, "still here");
    for (const one of [otherFunction, otherTenant]) expect((await openTunnel(one, `echo.example:${echo}`)).status).toBe(200);
    const log = async () =>
      ((await (await plane.call(owner.token, "GET", "/v1/egress/log")).json()) as { items: { outcome: string }[] }).items;
    const cuts = async () => (await log()).filter(({ outcome }) => outcome.startsWith(`cut: The ${CAP} bytes that this function`)).length;
    await expect.poll(cuts).toBe(2);
    expect((await log()).filter(({ outcome }) => outcome.startsWith("QUOTA_EXCEEDED: "))).toHaveLength(2);
  });

  test("a plain request that was not answered yet is told so when its body goes over the cap", async () => {
    const sink = await servers.http((request) => void request.resume());
    await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [sink] });
    const request = openPlain(await openWay(plane, owner, { host: "sink.example", port: sink }), "POST", `http://sink.example:${sink}/`);
    request.write(Buffer.alloc(2 * CAP));
    const answer = await answerOf(request);
    expect([answer.statusCode, await textOf(answer)]).toEqual([429, expect.stringContaining("QUOTA_EXCEEDED")]);
    if (!request.destroyed) await once(request, "close");
  });
});
