// Plain HTTP by absolute-form requests: under the rules of a CONNECT, with fields, bodies and ends as they should be.
import { once } from "node:events";
import { request as sendRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { asked, at, control, dial, eachTestItsOwn, records, rules, start, stop, tcpServer } from "../testing/egress.ts";
import { type Echoed, answerOf, echo, endServers, get, send, textOf, upstream } from "../testing/plain.ts";
import { until } from "../testing/platform.ts";
import { EGRESS_LIMITS } from "./limits.ts";

eachTestItsOwn();
endServers();

describe("a plain request", () => {
  it("is served, and logged without its path", async () => {
    const { url, authority } = await upstream(echo);
    const { status, text, answer } = await get(`${url}/a/b?c=d`);
    expect([status, answer.headers["via"]]).toEqual([200, "1.1 fnctl"]);
    expect(JSON.parse(text)).toMatchObject({ method: "GET", url: "/a/b?c=d", body: "" });
    await until(() => records().length === 1);
    expect(records()[0]).toMatchObject({ target: authority, address: "127.0.0.1", outcome: "closed" });
    expect(records()[0]!["bytesUp"]).toBeGreaterThan(50);
    expect(records()[0]!["bytesDown"]).toBeGreaterThan(text.length);
  });
  it("has its Host, and none of the fields of the client's own connection", async () => {
    const { url, authority } = await upstream(echo);
    const headers = {
      connection: "x-hop, keep-alive",
      "x-hop": "1",
      "keep-alive": "timeout=5",
      "proxy-connection": "keep-alive",
      "proxy-authorization": "Basic eDp5",
      "x-kept": ["a", "b"],
      host: "GOOD.example",
    };
    const { fields } = JSON.parse((await get(`${url}/`, headers)).text) as Echoed;
    const kept = fields.map((one) => one.toLowerCase());
    for (const name of ["x-hop", "keep-alive", "proxy-connection", "proxy-authorization"]) expect(kept).not.toContain(name);
    expect([fields.filter((one) => one === authority), fields.filter((one) => one === "x-kept")]).toEqual([
      [authority],
      ["x-kept", "x-kept"],
    ]);
    expect(kept).toEqual(expect.arrayContaining(["via", "1.1 fnctl", "connection", "close"]));
  });
  it.each([
    ["PUT", { "content-length": "5" }, "hello"],
    ["POST", { "transfer-encoding": "chunked" }, "hello"],
    ["DELETE", { "transfer-encoding": "chunked" }, "hello"],
    ["POST", {}, ""],
    ["PATCH", { "content-length": "0" }, ""],
  ])("%s with %j has its body", async (method, headers, body) => {
    const { url } = await upstream(echo);
    expect(JSON.parse((await get(`${url}/`, headers, method, body)).text)).toMatchObject({ method, body });
  });
  it("is about the server as a whole where OPTIONS names no path", async () => {
    const { authority } = await upstream(echo);
    const { got } = await dial("", { request: `OPTIONS http://${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n` });
    await until(() => got().includes('"url":"*"'));
  });
  it("keeps trailers of both sides, status, and fields that come twice", async () => {
    const { url } = await upstream((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(418, "Short", [
          "Set-Cookie",
          "a=1",
          "Set-Cookie",
          "b=2",
          "Trailer",
          "x-sum",
          "Connection",
          "x-hop",
          "X-Hop",
          "1",
        ]);
        response.addTrailers({ "x-sum": JSON.stringify(request.trailers) });
        response.end("body");
      });
    });
    const request = send("POST", `${url}/`, { "transfer-encoding": "chunked", te: "trailers", trailer: "x-end" });
    request.addTrailers({ "x-end": "yes" });
    request.end("x");
    const answer = await answerOf(request);
    expect(await textOf(answer)).toBe("body");
    expect([answer.statusCode, answer.statusMessage, answer.headers["set-cookie"]]).toEqual([418, "Short", ["a=1", "b=2"]]);
    expect([answer.trailers, answer.headers["x-hop"]]).toEqual([{ "x-sum": '{"x-end":"yes"}' }, undefined]);
  });
  it.each([
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ])("%s whose answer is %i has fields, and no body", async (method, status) => {
    const { url } = await upstream((_request, response) =>
      response.writeHead(status, { etag: '"x"', ...(status === 204 ? {} : { "content-length": 5 }) }).end(),
    );
    const { answer, text } = await get(`${url}/`, {}, method);
    expect([answer.statusCode, answer.headers.etag, text]).toEqual([status, '"x"', ""]);
    expect(answer.headers["content-length"]).toBe(status === 204 ? undefined : "5");
  });
  it("follows no redirect", async () => {
    const { url } = await upstream((_request, response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end());
    const { status, answer } = await get(`${url}/`);
    expect([status, answer.headers.location, asked]).toEqual([302, "http://169.254.169.254/", ["good.example"]]);
  });
  it("asks for its 100 (Continue) where it goes", async () => {
    let sent = false;
    const { url, server } = await upstream(echo);
    server.on("checkContinue", (request, response) => {
      expect(sent).toBe(false);
      response.writeContinue();
      echo(request as IncomingMessage, response as never);
    });
    const request = send("PUT", `${url}/`, { "content-length": "4", expect: "100-continue" });
    request.flushHeaders();
    await once(request, "continue");
    sent = true;
    request.end("body");
    expect(JSON.parse(await textOf(await answerOf(request)))).toMatchObject({ body: "body" });
  });
  it("of HTTP/1.0 is answered until the connection ends", async () => {
    const { authority } = await upstream((_request, response) => {
      response.write("two ");
      response.end("parts");
    });
    const answered = await dial("", { request: `GET http://${authority}/ HTTP/1.0\r\n\r\n` });
    await until(() => answered.closed());
    expect([answered.status, answered.got()]).toEqual([200, "two parts"]);
  });
});

it("has an answer whose head is as long as it may be", async () => {
  const { url } = await upstream((_request, response) =>
    response.writeHead(200, { x: "x".repeat(EGRESS_LIMITS.answerHeadBytes - 1_024) }).end("ok"),
  );
  const request = sendRequest({
    socketPath: join(at("root"), "i1/s"),
    agent: false,
    path: `${url}/`,
    headers: { host: new URL(url).host },
    maxHeaderSize: 2 * EGRESS_LIMITS.answerHeadBytes,
  });
  request.end();
  expect(await textOf(await answerOf(request))).toBe("ok");
});

describe("an open request", () => {
  it("ends, with its connection, when its client leaves", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    const request = send("GET", `http://good.example:${server.port}/`);
    request.on("error", () => undefined).end();
    await until(() => server.got().startsWith("GET / HTTP/1.1"));
    request.destroy();
    await until(() => server.sockets.size === 0 && records().length === 1);
  });
  it("is cut where its answer was cut", async () => {
    const server = await tcpServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")));
    await control("PUT", "i1", rules([server.port]));
    const request = send("GET", `http://good.example:${server.port}/`);
    request.end();
    await expect(answerOf(request).then(textOf)).rejects.toThrow();
  });
  it("whose body is cut is never whole where it went", async () => {
    const server = await tcpServer();
    await control("PUT", "i1", rules([server.port]));
    const authority = `good.example:${server.port}`;
    const socket = connect(join(at("root"), "i1/s"));
    socket.write(`POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n`);
    await until(() => server.sockets.size === 0 && socket.destroyed);
    expect(server.got()).not.toContain("0\r\n\r\n");
  });
  it("is one of a source's connections, and its bytes are the source's", async () => {
    const { url } = await upstream((_request, response) => void response.write("x"), { maxConnections: 1, maxBytes: 100_000 });
    const open = send("GET", `${url}/`);
    open.on("error", () => undefined).end();
    await answerOf(open);
    expect((await get(`${url}/`)).status).toBe(429);
    open.destroy();
    const large = await upstream((_request, response) => response.end(Buffer.alloc(1_000_000)), { maxBytes: 100_000 });
    await until(async () => {
      const request = send("GET", `${large.url}/`);
      request.end();
      const answer = await answerOf(request);
      if (answer.statusCode !== 200) return false;
      await expect(textOf(answer)).rejects.toThrow();
      return true;
    });
    expect((await get(`${large.url}/`)).text).toContain("QUOTA_EXCEEDED");
    await until(() => records().some((record) => /bytes is used up/.test(String(record["outcome"]))));
  });
  it("counts what it sends", async () => {
    const { url } = await upstream((request) => void request.resume(), { maxBytes: 100_000 });
    const request = send("POST", `${url}/`, { "transfer-encoding": "chunked" });
    request.on("error", () => undefined).write(Buffer.alloc(1_000_000));
    const answer = await answerOf(request);
    expect([answer.statusCode, await textOf(answer)]).toEqual([429, expect.stringContaining("QUOTA_EXCEEDED")]);
    await until(() => records().some((record) => /bytes is used up/.test(String(record["outcome"]))));
  });
  it("waits for a slow reader, whatever the server has to say", async () => {
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024);
    const { url } = await upstream(
      (_request, response) => {
        const more = (): void => {
          while (written < 64 * 1024 * 1024) {
            written += chunk.length;
            if (!response.write(chunk)) return void response.once("drain", more);
          }
          response.end();
        };
        more();
      },
      { maxBytes: 1e9 },
    );
    const request = send("GET", `${url}/`);
    request.end();
    const answer = await answerOf(request);
    answer.pause();
    let before = -1;
    await until(async () => {
      const same = before === written;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return same;
    });
    expect(written).toBeLessThan(32 * 1024 * 1024);
    let got = 0;
    for await (const part of answer) got += (part as Buffer).length;
    expect(got).toBe(64 * 1024 * 1024);
  }, 30_000);
});

it("goes through an operator's own proxy, too", async () => {
  let head = "";
  const proxy = await tcpServer((socket) =>
    socket.once("data", (chunk: Buffer) => {
      head = chunk.toString();
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    }),
  );
  await stop();
  await start({ FNCTL_EGRESS_UPSTREAM_PROXY: `http://127.0.0.1:${proxy.port}` });
  await control("PUT", "i1", rules([80]));
  expect((await get("http://nowhere.example/x")).text).toBe("hi");
  expect(head).toMatch(/^CONNECT nowhere.example:80 /);
});
