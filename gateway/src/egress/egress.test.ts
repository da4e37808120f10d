// The proxy as a sandbox sees it: which sandbox may use which socket, and where a tunnel may lead.
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TENANT, asked, at, control, dial, eachTestItsOwn, names, records, rules, start, stop, tcpServer } from "../testing/egress.ts";
import { until } from "../testing/platform.ts";

eachTestItsOwn();

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
  it("that cannot come back keep no others, and no proxy, from coming back", async () => {
    for (const id of ["i1", "i2"]) await control("PUT", id, rules([443]));
    await stop();
    rmSync(join(at("root"), "i1"), { recursive: true });
    writeFileSync(join(at("root"), "i1"), "");
    await start();
    expect([(await control("GET", "i1")).status, (await control("GET", "i2")).status]).toEqual([404, 200]);
    await until(() => records().some(({ instance, error }) => instance === "i1" && String(error).includes("EEXIST")));
    expect((await control("PUT", "i1", rules([443]))).status).toBe(500);
    rmSync(join(at("root"), "i1"));
    expect((await control("PUT", "i1", rules([443]))).status).toBe(200);
  });
  it("come back after a restart, at the same sockets", async () => {
    const server = await tcpServer((socket) => socket.end("hi"));
    await control("PUT", "i1", rules([server.port]));
    await stop();
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

  it("serves no paths of its own, and takes one Host", async () => {
    await control("PUT", "i1", rules([443]));
    const plain = await dial("", { request: "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n" });
    expect(plain.status).toBe(405);
    await until(() => plain.got().includes("This is a proxy"));
    expect((await dial("good.example:443", { host: "evil.example:443" })).status).toBe(403);
    expect(
      (await dial("", { request: "CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\nHost: evil.example\r\n\r\n" })).status,
    ).toBe(403);
  });
});
