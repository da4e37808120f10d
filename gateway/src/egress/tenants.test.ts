// What one tenant's connections cost another's, and what a function does not learn or get that is the operator's.
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { asked, control, dial, eachTestItsOwn, at, hanging, names, records, rules, tcpServer } from "../testing/egress.ts";
import { send, sleep, until } from "../testing/platform.ts";
import { EGRESS_LIMITS } from "./limits.ts";

eachTestItsOwn();
afterEach(() => hanging.clear());
const OTHER = "00000000-0000-4000-8000-000000000002";

describe("names that are looked up", () => {
  it("of one tenant are few at a time, so that a server that never answers keeps no other tenant waiting", async () => {
    const server = await tcpServer((socket) => socket.end("served"));
    const waiting: (() => void)[] = [];
    hanging.set("bad.example", waiting);
    await control("PUT", "i1", rules([server.port], { maxConnections: 100 }));
    await control("PUT", "i2", rules([server.port], { tenantId: OTHER }));
    const stuck = Array.from({ length: EGRESS_LIMITS.resolves.perOwner + 5 }, () => dial(`bad.example:${server.port}`));
    await until(() => waiting.length === EGRESS_LIMITS.resolves.perOwner);
    expect((await dial(`good.example:${server.port}`, { instance: "i2" })).status).toBe(200);
    expect(waiting).toHaveLength(EGRESS_LIMITS.resolves.perOwner);
    // They wait for so long; a lookup that goes on keeps its place, because it keeps a thread.
    expect((await Promise.all(stuck)).map(({ status }) => status)).toEqual(stuck.map(() => 503));
    expect(waiting).toHaveLength(EGRESS_LIMITS.resolves.perOwner);
    hanging.clear();
    for (const answer of waiting) answer();
    await until(async () => (await dial(`good.example:${server.port}`)).status === 200);
  }, 20_000);
});

describe("private addresses", () => {
  it("that the operator opened for builds are closed to functions", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port], { kind: "function" }));
    expect((await dial(`good.example:${server.port}`)).status).toBe(403);
    expect(server.sockets.size).toBe(0);
  });
  it("behind a name are told to the operator's log, and not to who asked", async () => {
    names["mixed.example"] = ["10.20.30.40"];
    await control("PUT", "i1", rules([443]));
    const tunnel = await dial("mixed.example:443");
    await until(() => tunnel.closed());
    expect(tunnel.head + tunnel.got()).not.toContain("10.20.30.40");
    await until(() => records().length > 0);
    expect(records()[0]).toMatchObject({ address: "10.20.30.40", target: "mixed.example:443" });
  });
});

describe("what a sandbox could pile up", () => {
  const PORT_OF_NOBODY = 9;
  it("a tunnel counts until its dial is over, although its client has left", async () => {
    const waiting: (() => void)[] = [];
    hanging.set("bad.example", waiting);
    await control("PUT", "i1", rules([PORT_OF_NOBODY], { maxConnections: 2 }));
    for (let i = 0; i < 2; i += 1) {
      const socket = connect(join(at("root"), "i1/s"));
      socket.write(`CONNECT bad.example:${PORT_OF_NOBODY} HTTP/1.1\r\nHost: bad.example:${PORT_OF_NOBODY}\r\n\r\n`);
      await until(() => waiting.length === i + 1);
      socket.destroy();
    }
    await sleep(100);
    expect((await dial(`good.example:${PORT_OF_NOBODY}`)).status).toBe(429);
    for (const answer of waiting) answer();
    await until(async () => (await dial(`good.example:${PORT_OF_NOBODY}`)).status === 503);
  });
  it("questions of one tenant beyond a burst come at a pace, from whichever sandbox; another tenant's come at once", async () => {
    for (const id of ["i1", "i2"]) await control("PUT", id, rules([443], { maxConnections: 100 }));
    await control("PUT", "i3", rules([443], { tenantId: OTHER }));
    const { burst, perSecond } = EGRESS_LIMITS.questions;
    const ask = (instance: string) => send({ socketPath: join(at("root"), `${instance}/s`), method: "GET", path: "/names/no.example" });
    const begun = performance.now();
    const beyond = perSecond; // a second's
    for (let i = 0; i < burst + beyond; i += 100) await Promise.all(Array.from({ length: 100 }, (_, k) => ask(k % 2 === 0 ? "i1" : "i2")));
    // Whatever the machine's speed: so many questions take so long.
    expect(performance.now() - begun).toBeGreaterThan(900);
    const late = ask("i1").then(() => performance.now());
    expect((await ask("i3")).status).toBe(403);
    await late;
  }, 30_000);
  it("one question of a connection is answered, and what stands behind it is not kept while it waits", async () => {
    await control("PUT", "i1", rules([443]));
    const { burst } = EGRESS_LIMITS.questions;
    const question = "GET /names/no.example HTTP/1.1\r\nhost: x\r\n\r\n";
    for (let i = 0; i < burst; i += 100)
      await Promise.all(
        Array.from({ length: 100 }, () => send({ socketPath: join(at("root"), "i1/s"), method: "GET", path: "/names/no.example" })),
      );
    const before = process.memoryUsage().heapUsed;
    const sockets = Array.from({ length: 8 }, () => connect(join(at("root"), "i1/s")));
    const closed = sockets.map((socket) => new Promise((resolve) => socket.on("error", () => undefined).once("close", resolve)));
    for (const socket of sockets) socket.write(question.repeat(20_000)); // eight megabytes of questions
    await Promise.all(closed);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  }, 30_000);
  it("what is sent behind a request that was answered is not served", async () => {
    await control("PUT", "i1", rules([PORT_OF_NOBODY]));
    const authority = `good.example:${PORT_OF_NOBODY}`;
    const answered = await dial(authority, {
      request: `GET / HTTP/1.1\r\nHost: x\r\n\r\nCONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`,
    });
    expect(answered.status).toBe(405);
    await until(() => answered.closed());
    expect(asked).toEqual([]);
  });
  it("refusals are logged up to a number in a second, and counted beyond", async () => {
    await control("PUT", "i1", rules([443], { maxConnections: 1_000 }));
    const times = 3 * EGRESS_LIMITS.refusalsPerSecond;
    for (let i = 0; i < times; i += 1) (await dial("evil.example:443")).socket.destroy();
    await until(async () => {
      (await dial("evil.example:443")).socket.destroy();
      return records().some(({ notLogged }) => Number(notLogged) > 0);
    });
    expect(records().length).toBeLessThan(times);
  });
});
