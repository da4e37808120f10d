// Plain HTTP with servers and functions that mean harm: what they send costs its own connection, and never the proxy or whom else it serves.
import { expect, it } from "vitest";
import { control, dial, eachTestItsOwn, rules, tcpServer } from "../testing/egress.ts";
import { until } from "../testing/platform.ts";
import { EGRESS_LIMITS } from "./limits.ts";

eachTestItsOwn();

const get = (port: number, version = "1.1") => `GET http://good.example:${port}/ HTTP/${version}\r\nHost: good.example:${port}\r\n\r\n`;
/** A server that says this to whatever comes. */
async function server(answer: string) {
  const { port, got } = await tcpServer((socket) => socket.once("data", () => socket.end(Buffer.from(answer, "latin1"))));
  await control("PUT", "i1", rules([port], { maxConnections: 100 }));
  return { port, got };
}
/** The longest time for which this process, the proxy's, did nothing else, in milliseconds. */
function watchTurns(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

// Each of these was an exception in an event of Node's, which ended the process that all tenants share.
it.each([
  ["a status below 100", 503, "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n"],
  ["no status", 503, "HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n"],
  ["control characters in the reason", 200, "HTTP/1.1 200 a\x01\x7fb\r\ncontent-length: 0\r\n\r\n"],
  ["trailers behind a known length", 200, "HTTP/1.1 200 OK\r\ntrailer: x\r\ncontent-length: 5\r\n\r\nhello"],
  ["trailers without a body", 204, "HTTP/1.1 204 No Content\r\ntrailer: x\r\n\r\n"],
  ["a switch of protocols that nobody asked for", 503, "HTTP/1.1 101 Hello\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nx"],
])("an answer with %s ends nothing but itself", async (_what, status, answer) => {
  const { port } = await server(answer);
  for (const version of ["1.1", "1.0"]) {
    const client = await dial("", { request: get(port, version) });
    await until(client.closed);
    expect(client.status).toBe(status);
  }
});
it("trailers in chunks to a client of HTTP/1.0 end nothing but themselves", async () => {
  const { port } = await server("HTTP/1.1 200 OK\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n");
  const client = await dial("", { request: get(port, "1.0") });
  await until(client.closed);
  expect([client.status, client.got()]).toEqual([200, "hi"]);
});
it("a request that announces trailers without chunks is sent without that word", async () => {
  const { port, got } = await server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  const { status } = await dial("", { request: get(port).replace("\r\n\r\n", "\r\ntrailer: x\r\n\r\n") });
  expect([status, got()]).toEqual([200, expect.not.stringContaining("trailer")]);
});
it("interim answers without end are no answer", async () => {
  const { port } = await tcpServer((socket) => {
    const flood = Buffer.from("HTTP/1.1 103 Early\r\n\r\n".repeat(1_000));
    socket.on("drain", () => socket.write(flood)).once("data", () => socket.write(flood));
  });
  await control("PUT", "i1", rules([port]));
  expect((await dial("", { request: get(port) })).status).toBe(503);
});
it("one unknown expectation is answered on a connection, not as many as come", async () => {
  const { port, got } = await server("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n");
  const asked = get(port).replace("\r\n\r\n", "\r\nexpect: x\r\n\r\n");
  const { status, closed } = await dial("", { request: asked });
  await until(closed);
  expect([status, got().includes("xpect: x")]).toEqual([417, true]);
});

it("no field hides behind two thousand others, of which Node would drop what comes last", async () => {
  const { port, got } = await server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  const second = "GET /2 HTTP/1.1\r\n\r\n";
  const hidden = `${"a:\r\n".repeat(1_999)}content-length: ${second.length}\r\n\r\n${second}`;
  const { closed } = await dial("", { request: get(port).replace("GET", "PUT").replace("\r\n\r\n", `\r\n${hidden}`) });
  await until(closed);
  expect(got()).not.toContain("content-length: 0"); // with the body behind it, which would be another request
  expect(got().toLowerCase()).toContain(`content-length: ${second.length}\r\n`);
});

const tiny = "1\r\nx\r\n".repeat(11_000);
it("a body of one-byte chunks goes on whole, in few writes, while others have their turns", async () => {
  let writes = 0;
  const { port, got } = await tcpServer((socket) => socket.on("data", () => (writes += 1)));
  await control("PUT", "i1", rules([port], { maxConnections: 100 }));
  const head = get(port).replace("GET", "POST").replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
  const longest = watchTurns();
  dial("", { request: `${head}${tiny}0\r\n\r\n` }).catch(() => undefined);
  await until(() => got().endsWith("0\r\n\r\n"), 10_000);
  expect(got().slice(got().indexOf("\r\n\r\n")).match(/x/g)).toHaveLength(11_000);
  expect(writes).toBeLessThan(100);
  expect(longest()).toBeLessThan(1_000);
});
it("an answer of one-byte chunks is taken at the tenant's pace", async () => {
  let sent = 0;
  const { port } = await tcpServer((socket) => {
    const more = (): void => {
      while (!socket.destroyed && sent < 40 * tiny.length) {
        sent += tiny.length;
        if (!socket.write(tiny)) return;
      }
    };
    socket.on("drain", more).once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      more();
    });
  });
  await control("PUT", "i1", rules([port], { maxConnections: 100, maxBytes: 1e9 }));
  const longest = watchTurns();
  const client = await dial("", { request: get(port) });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { burst, perSecond } = EGRESS_LIMITS.pieces;
  expect(client.got().match(/x/g)!.length).toBeLessThan(2 * (burst + perSecond));
  expect(longest()).toBeLessThan(500);
});
