// Addresses as targets: by rules that name them, and only where an address may be dialled at all.
import { describe, expect, it } from "vitest";
import { asked, clientHello, control, dial, eachTestItsOwn, names, rules, start, stop, tcpServer } from "../testing/egress.ts";
import { until } from "../testing/platform.ts";

eachTestItsOwn();
const allow = (port: number, ...hosts: string[]) => rules([], { allow: hosts.map((host) => ({ host, ports: [port] })) });

it("a name with thousands of addresses is refused, and not judged by two hundred rules for each", async () => {
  names["good.example"] = Array.from({ length: 3_000 }, (_, i) => `2606:4700::${i.toString(16)}`);
  await control("PUT", "i1", rules([443]));
  const tunnel = await dial("good.example:443");
  await until(() => tunnel.closed());
  expect([tunnel.status, tunnel.got()]).toEqual([403, expect.stringContaining("more than 128 addresses")]);
});

describe("an address as a target", () => {
  it.each(["127.0.0.1", "127.0.0.0/8"])("is reached by a rule for %s, and no name is asked for", async (rule) => {
    const server = await tcpServer((socket) => socket.end("hi"));
    await control("PUT", "i1", allow(server.port, rule));
    const tunnel = await dial(`127.0.0.1:${server.port}`);
    await until(() => tunnel.got() === "hi");
    expect(asked).toEqual([]);
  });
  it("is reached over IPv6, and by plain HTTP, too", async () => {
    await stop();
    await start({ FNCTL_EGRESS_ALLOW_PRIVATE: "::1/128" });
    const server = await tcpServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\nhi")), "::1");
    await control("PUT", "i1", allow(server.port, "[::/64]"));
    const authority = `[::1]:${server.port}`;
    expect((await dial(authority)).status).toBe(200);
    const plain = await dial("", { request: `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n` });
    await until(() => plain.closed());
    expect([plain.status, plain.got()]).toEqual([200, expect.stringContaining("hi")]);
    expect(server.got()).toContain(`host: ${authority}\r\n`);
  });
  it.each([["good.example"], ["127.0.0.2"], ["[::/0]"]])(
    "is not meant by a rule for %s, and the one that would allow it is told",
    async (rule) => {
      const server = await tcpServer();
      await control("PUT", "i1", allow(server.port, rule));
      const tunnel = await dial(`127.0.0.1:${server.port}`);
      await until(() => tunnel.closed());
      expect([tunnel.status, tunnel.got()]).toEqual([403, expect.stringContaining(`fnctl egress allow 127.0.0.1:${server.port}`)]);
      const long = await dial("[2606:4700::1111]:443");
      await until(() => long.closed());
      expect([long.status, long.got()]).toEqual([403, expect.stringContaining("fnctl egress allow '[2606:4700::1111]'")]);
      expect(server.sockets.size).toBe(0);
    },
  );
  it.each([
    "127.0.0.2",
    "169.254.169.254",
    "10.1.2.3",
    "0.0.0.0",
    "[::1]",
    "[fd00:ec2::254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
  ])("%s is closed whatever rule allows it", async (host) => {
    const server = await tcpServer();
    await control("PUT", "i1", allow(server.port, host, "0.0.0.0/0", "[::/0]"));
    const tunnel = await dial(`${host}:${server.port}`);
    await until(() => tunnel.closed());
    expect([tunnel.status, tunnel.got()]).toEqual([403, expect.stringContaining(`${host} is an address that functions may not reach`)]);
    expect(server.sockets.size).toBe(0);
  });
  it.each(["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1%eth0]", "127.0.0.1."])(
    "%s is none",
    async (host) => {
      const server = await tcpServer();
      await control("PUT", "i1", allow(server.port, "127.0.0.0/8", "[::/0]"));
      expect((await dial(`${host}:${server.port}`)).status).toBe(403);
      expect(server.sockets.size).toBe(0);
    },
  );
  it("does not open a name that leads there", async () => {
    const server = await tcpServer();
    names["other.example"] = ["127.0.0.1"];
    await control("PUT", "i1", allow(server.port, "127.0.0.1"));
    expect((await dial(`other.example:${server.port}`)).status).toBe(403);
  });
  it("has no TLS server name", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", allow(server.port, "127.0.0.1"));
    const named = await dial(`127.0.0.1:${server.port}`, { first: await clientHello("good.example") });
    await until(() => named.closed());
    expect(server.got()).toBe("");
    const hello = await clientHello("");
    await dial(`127.0.0.1:${server.port}`, { first: hello });
    await until(() => server.got() === hello.toString("latin1"));
  });
});
