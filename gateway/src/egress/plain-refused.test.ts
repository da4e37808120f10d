// Plain HTTP by absolute-form requests: what is not sent on, and what servers answer that is not told.
import { describe, expect, it } from "vitest";
import { control, dial, eachTestItsOwn, names, rules, tcpServer } from "../testing/egress.ts";
import { answerOf, echo, endServers, get, send, textOf, upstream } from "../testing/plain.ts";
import { until } from "../testing/platform.ts";
import { EGRESS_LIMITS } from "./limits.ts";

eachTestItsOwn();
endServers();

describe("what is refused", () => {
  it.each([
    ["another name", "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n", 403, "fnctl egress allow other.example:80"],
    ["another port", "GET http://good.example:81/ HTTP/1.1\r\nHost: good.example:81\r\n", 403, "good.example:81"],
    ["the port of TLS", "GET http://good.example:443/ HTTP/1.1\r\nHost: good.example:443\r\n", 403, "Only TLS"],
    ["another scheme", "GET https://good.example/ HTTP/1.1\r\nHost: good.example\r\n", 403, "CONNECT"],
    ["userinfo", "GET http://a@good.example/ HTTP/1.1\r\nHost: good.example\r\n", 403, "this form"],
    ["a number as a name", "GET http://2852039166/ HTTP/1.1\r\nHost: 2852039166\r\n", 403, "no plain host name"],
    ["a dot behind the name", "GET http://good.example./ HTTP/1.1\r\nHost: good.example.\r\n", 403, "no plain host name"],
    ["another Host", "GET http://good.example:PORT/ HTTP/1.1\r\nHost: evil.example\r\n", 403, "Host field"],
    ["two Hosts", "GET http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n", 403, "Host field"],
    ["TRACE", "TRACE http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\n", 405, "TRACE"],
    [
      "a WebSocket",
      "GET http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      501,
      "CONNECT host:port",
    ],
    ["chunks in HTTP/1.0", "POST http://good.example:PORT/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400, "HTTP/1.0"],
    ["two lengths", "POST http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400, ""],
    [
      "a length and chunks",
      "POST http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
      400,
      "",
    ],
    ["a folded field", "GET http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nX: a\r\n b\r\n", 400, ""],
    ["an open-ended field", "GET http://good.example:PORT/ HTTP/1.1\r\nHost: good.example\r\nX : a\r\n", 400, ""],
  ])("%s, and nothing arrives", async (_what, request, status, text) => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port, 443]));
    const answered = await dial("", { request: `${request.replaceAll("PORT", String(server.port))}\r\n` });
    await until(() => answered.closed());
    expect(answered.status).toBe(status);
    expect(answered.got()).toContain(text);
    expect([server.sockets.size, server.got()]).toEqual([0, ""]);
  });
  it("a body that waits for 100 (Continue), without asking for it", async () => {
    await control("PUT", "i1", rules([80]));
    const request = send("PUT", "http://other.example/", { "content-length": "4", expect: "100-continue" });
    let continued = false;
    request
      .on("continue", () => (continued = true))
      .on("error", () => undefined)
      .flushHeaders();
    const answer = await answerOf(request);
    expect([answer.statusCode, (await textOf(answer)).includes("other.example:80"), continued]).toEqual([403, true, false]);
  });
  it("names that lead inside", async () => {
    names["mixed.example"] = ["127.0.0.1", "169.254.169.254"];
    const { server } = await upstream(echo);
    const { status, text } = await get(`http://mixed.example:${server.port}/`);
    expect([status, text]).toEqual([403, expect.stringContaining("leads to an address")]);
  });
  it("a body that comes with it is read over, so that the reason arrives", async () => {
    await control("PUT", "i1", rules([80]));
    const request = send("POST", "http://other.example/", { "transfer-encoding": "chunked" });
    request.on("error", () => undefined).write("x".repeat(200_000));
    expect((await answerOf(request)).statusCode).toBe(403);
    request.destroy();
  });
  it.each([
    ["nothing", ""],
    ["no HTTP", "SSH-2.0-x\r\n"],
    ["an upgrade that nobody asked for", "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a coding that nobody asked for", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(EGRESS_LIMITS.answerHeadBytes)}`],
  ])("is said where the server answers with %s", async (_what, bytes) => {
    const server = await tcpServer((socket) => socket.once("data", () => socket.end(bytes)));
    await control("PUT", "i1", rules([server.port]));
    const { status, text } = await get(`http://good.example:${server.port}/`);
    expect([status, text]).toEqual([503, expect.stringContaining("did not answer in HTTP/1")]);
    await until(() => server.sockets.size === 0);
  });
});
