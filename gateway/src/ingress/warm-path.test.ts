import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OTHER_TOKEN, Platform, until } from "../testing/platform.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start();
});
afterEach(() => platform.stop());

describe("warm path", () => {
  it("routes by host, authorises, leases once, and proxies", async () => {
    const seen: { url: string | undefined; headers: NodeJS.Dict<string | string[]> }[] = [];
    const upstream = await platform.upstream((request, response) => {
      seen.push({ url: request.url, headers: request.headers });
      response.end("hello");
    });
    const route = await platform.serve(upstream);
    for (let i = 0; i < 3; i += 1) {
      const answer = await platform.call("/a/b?x=1");
      expect([answer.status, answer.body]).toEqual([200, "hello"]);
      expect(answer.headers["server-timing"]).toMatch(/^queue;dur=\d+\.\d+, cold;dur=\d+\.\d+, fn;dur=\d+\.\d+$/);
      expect(answer.headers["x-request-id"]).toMatch(/^[A-Za-z0-9._-]{8,64}$/);
    }
    expect(platform.control.leaseRequests).toHaveLength(1);
    expect(platform.control.leaseRequests[0]).toMatchObject({ functionId: route.functionId, versionId: route.targets[0]?.versionId });
    expect(seen[0]?.url).toBe("/a/b?x=1");
    expect(seen[0]?.headers).toMatchObject({
      host: "hello--acme.localhost",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-fnctl-tenant": "acme",
      "x-fnctl-function": "hello",
      "x-fnctl-timeout-ms": String(route.timeoutMs),
    });
    expect(seen[0]?.headers["authorization"]).toBeUndefined();
  });

  it("routes by path and shows the function the rest", async () => {
    const upstream = await platform.upstream((request, response) =>
      response.end(JSON.stringify([request.url, request.headers["x-forwarded-prefix"]])),
    );
    await platform.serve(upstream);
    const urls = await Promise.all(
      ["/fn/acme/hello", "/fn/acme/hello/", "/fn/acme/hello/x/y?q=1", "/fn/acme/hello?q=2"].map((path) =>
        platform.call(path, { host: "localhost" }),
      ),
    );
    expect(urls.map((answer) => JSON.parse(answer.body))).toEqual([
      ["/", "/fn/acme/hello"],
      ["/", "/fn/acme/hello"],
      ["/x/y?q=1", "/fn/acme/hello"],
      ["/?q=2", "/fn/acme/hello"],
    ]);
  });

  it("passes bodies of every kind both ways", async () => {
    const upstream = await platform.upstream((request, response) => {
      response.setHeader("x-length", request.headers["content-length"] ?? request.headers["transfer-encoding"] ?? "none");
      request.pipe(response);
    });
    await platform.serve(upstream);
    for (const size of [0, 1, 65_536, 65_537, 3_000_000]) {
      const body = Buffer.alloc(size, "ab");
      const answer = await platform.call("/", { method: "POST", body, headers: { "content-length": String(size) } });
      expect([answer.status, answer.body.length, answer.headers["x-length"]]).toEqual([200, size, String(size)]);
    }
    const chunked = await platform.call("/", { method: "POST", body: "chunky", headers: { "transfer-encoding": "chunked" } });
    expect([chunked.body, chunked.headers["x-length"]]).toEqual(["chunky", "chunked"]);
  });

  it("writes one log record per request", async () => {
    const upstream = await platform.upstream((_request, response) => response.end("hello"));
    await platform.serve(upstream);
    await platform.call("/secret?token=nobody-else-sees-this", { headers: { "x-request-id": "my-request-1" } });
    await platform.call("/gone", { token: OTHER_TOKEN });
    await until(() => platform.log().length === 2);
    expect(platform.log()[0]).toMatchObject({
      requestId: "my-request-1",
      tenant: "acme",
      function: "hello",
      version: 1,
      method: "GET",
      path: "/secret",
      status: 200,
      bytesOut: 5,
    });
    expect(platform.log()[1]).toMatchObject({ status: 404, code: "NOT_FOUND" });
    expect(JSON.stringify(platform.log())).not.toContain("nobody-else");
  });
});
