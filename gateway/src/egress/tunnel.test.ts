// Bytes in an established tunnel: the first ones must be for the host that was named, and all of them are counted.
import { describe, expect, it } from "vitest";
import { clientHello, control, dial, eachTestItsOwn, names, records, rules, start, stop, tcpServer } from "../testing/egress.ts";
import { until } from "../testing/platform.ts";

eachTestItsOwn();

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
  it("passes a ClientHello that comes byte by byte, and refuses one that never ends", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    const hello = await clientHello("good.example");
    const slow = await dial(`good.example:${server.port}`);
    slow.socket.setNoDelay(true);
    for (const byte of hello) {
      slow.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => server.got() === hello.toString("latin1"));
    const endless = await dial(`good.example:${server.port}`, { first: "\x16\x03\x01\x40\x00\x01\x00\xff\xff" });
    endless.socket.write(Buffer.alloc(40_000, "\x16"));
    await until(() => endless.closed());
    expect(server.got()).toBe(hello.toString("latin1"));
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
    await until(() => records().some((record) => /bytes is used up/.test(String(record["outcome"]))));
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
    await stop();
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
