import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { makeLease, makeRoute, makeToken } from "../testing/control-double.ts";
import { OTHER_TOKEN, Platform, TOKEN, until } from "../testing/platform.ts";

let platform: Platform;
let hello: Route;
let seen: Record<string, string | string[] | undefined>[] = [];
const READ_ONLY = "fnctl_test_read_only_0123456789abcdef";
const EXPIRED = "fnctl_test_expired_0123456789abcdef01";
const cors = { origins: ["https://app.example.com"], methods: ["POST"], headers: ["x-a"], credentials: true, maxAgeSeconds: 60 };

beforeAll(async () => {
  platform = await new Platform().start({ FNCTL_API_HOSTS: "localhost,127.0.0.1,[::1],api.example.com" });
  const upstream = await platform.upstream((request, response) => {
    seen.push(request.headers);
    response.setHeader("set-cookie", ["a=1", "b=2"]);
    response.setHeader("x-fnctl-secret", "no");
    response.setHeader("x-request-id", "forged-by-function");
    response.setHeader("connection", "x-hop, keep-alive");
    response.setHeader("x-hop", "no");
    response.end("ok");
  });
  hello = await platform.serve(upstream, { cors });
  await platform.publish(makeRoute({ function: "open", access: "public", tenantId: hello.tenantId }));
  platform.control.send({ type: "token", token: makeToken(READ_ONLY, { tenantId: hello.tenantId, scopes: ["read"] }) });
  platform.control.send({ type: "token", token: makeToken(EXPIRED, { tenantId: hello.tenantId, expiresAt: Date.now() - 1 }) });
  await platform.settled();
});
afterAll(() => platform.stop());

const shape = (answer: { status: number; body: string; headers: Record<string, unknown> }): unknown => [
  answer.status,
  answer.body.replace(/"requestId":"[^"]*"/, ""),
  Object.keys(answer.headers).toSorted(),
];

describe("who may call", () => {
  it("tells nothing about names to a caller without rights there (H6)", async () => {
    const hosts = ["hello--acme.localhost", "nobody--acme.localhost", "hello--nobody.localhost", "x.y.localhost"];
    for (const token of [null, OTHER_TOKEN, "fnctl_test_unknown_0123456789abcdef", EXPIRED, "short"]) {
      const [known, ...unknown] = await Promise.all(hosts.map((host) => platform.call("/", { host, token })));
      expect(known?.status).toBe(token === OTHER_TOKEN ? 404 : 401);
      for (const answer of unknown) expect(shape(answer)).toEqual(shape(known!));
    }
  });
  it("answers the same over path routes", async () => {
    for (const [token, status] of [
      [null, 401],
      [OTHER_TOKEN, 404],
      [TOKEN, 200],
    ] as const)
      expect((await platform.call("/fn/acme/hello/", { host: "localhost", token })).status).toBe(status);
    expect((await platform.call("/fn/acme/nobody/", { host: "localhost", token: TOKEN })).status).toBe(404);
  });
  it("asks for a scope inside the own tenant", async () => {
    expect((await platform.call("/", { token: READ_ONLY })).status).toBe(403);
  });
  it("forgets a revoked token at once, although it was cached", async () => {
    const secret = "fnctl_test_revoked_0123456789abcdef01";
    const token = makeToken(secret, { tenantId: hello.tenantId });
    platform.control.send({ type: "token", token });
    await until(async () => (await platform.call("/", { token: secret })).status === 200);
    platform.control.send({ type: "token-removed", tokenId: token.tokenId });
    await until(async () => (await platform.call("/", { token: secret })).status === 401);
  });
  it("takes the platform's token off, and leaves a public function's caller its own", async () => {
    seen = [];
    await platform.call("/");
    await platform.call("/", { host: "open--acme.localhost", headers: { authorization: "Basic abc" }, token: null });
    expect(seen.map((headers) => headers["authorization"])).toEqual([undefined, "Basic abc"]);
  });
});

describe("headers", () => {
  it("drops what a client sends in the platform's name", async () => {
    seen = [];
    await platform.call("/", {
      headers: {
        "x-fnctl-tenant": "evil",
        x_fnctl_tenant: "evil",
        "x-fnctl-timeout-ms": "666",
        "X-Forwarded-For": "6.6.6.6",
        x_forwarded_for: "6.6.6.6",
        "x-forwarded-host": "evil",
        forwarded: "for=6.6.6.6",
        "x-real-ip": "6.6.6.6",
        x_request_id: "evil-evil",
        connection: "close, x-nominated, x-fnctl-function, host",
        "x-nominated": "no",
        "keep-alive": "timeout=1",
        te: "trailers",
        "proxy-authorization": "no",
        "x-kept": "yes",
      },
    });
    expect(seen[0]).toMatchObject({
      "x-fnctl-tenant": "acme",
      "x-fnctl-function": "hello",
      "x-fnctl-timeout-ms": "5000",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": "hello--acme.localhost",
      forwarded: 'for=127.0.0.1;host="hello--acme.localhost";proto=http',
      host: "hello--acme.localhost",
      "x-kept": "yes",
    });
    for (const name of ["x_fnctl_tenant", "x_forwarded_for", "x_request_id", "x-real-ip", "x-nominated", "te", "proxy-authorization"])
      expect(seen[0]).not.toHaveProperty(name);
    expect(JSON.stringify(seen[0])).not.toMatch(/evil|6\.6\.6\.6/);
  });
  it("drops a response's hop-by-hop, nominated and internal fields", async () => {
    const answer = await platform.call("/", { headers: { "x-request-id": "client-chosen-1" } });
    expect(answer.headers).toMatchObject({ "x-request-id": "client-chosen-1", "set-cookie": ["a=1", "b=2"] });
    for (const name of ["x-hop", "x-fnctl-secret", "content-security-policy"]) expect(answer.headers).not.toHaveProperty(name);
  });
  it("makes a new id when the client's does not fit", async () => {
    for (const bad of ["short", "has space in it", "x".repeat(65), 'quote"quote'])
      expect((await platform.call("/", { headers: { "x-request-id": bad } })).headers["x-request-id"]).toMatch(/^[0-9a-f]{24}$/);
  });
});

describe("browsers", () => {
  it("answers preflights alike for every name that is not public: private functions with rules, without, and none at all (H6)", async () => {
    await platform.publish(makeRoute({ function: "plain", tenantId: hello.tenantId }));
    const hosts = ["hello--acme.localhost", "plain--acme.localhost", "nobody--acme.localhost", "hello--nobody.localhost"];
    for (const origin of ["https://app.example.com", "https://evil.example.com"])
      for (const method of ["POST", "DELETE"]) {
        const asks = { origin, "access-control-request-method": method, "access-control-request-headers": "authorization, x-a" };
        const answers = await Promise.all(hosts.map((host) => platform.call("/", { host, method: "OPTIONS", token: null, headers: asks })));
        expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 204]);
        const shown = answers.map(({ headers: { date: _date, "x-request-id": _id, ...headers } }) => headers);
        for (const headers of shown) expect(headers).toEqual(shown[0]);
        expect(shown[0]).toMatchObject({
          "access-control-allow-origin": origin,
          "access-control-allow-methods": method,
          "access-control-allow-headers": "authorization, x-a",
        });
      }
    expect(seen.some(({ origin }) => origin !== undefined)).toBe(false); // none of them reached the function
  });
  it("leaves a public function its own preflights", async () => {
    seen = [];
    const asks = { origin: "https://app.example.com", "access-control-request-method": "POST" };
    await platform.call("/", { host: "open--acme.localhost", method: "OPTIONS", token: null, headers: asks });
    expect(seen).toMatchObject([asks]);
  });
  it("lets a page read only what the function's rules allow: origin and method", async () => {
    const allowed = async (origin: string, method: string) =>
      (await platform.call("/", { method, headers: { origin } })).headers["access-control-allow-origin"];
    expect(await allowed("https://app.example.com", "POST")).toBe("https://app.example.com");
    expect(await allowed("https://app.example.com", "PUT")).toBeUndefined();
    expect(await allowed("https://evil.example.com", "POST")).toBeUndefined();
  });
  it("marks answers and platform errors for the allowed origin only", async () => {
    const answer = (origin: string, path: string) => platform.call(path, { method: "POST", headers: { origin } });
    for (const path of ["/", "/.fnctl/v1/health"]) {
      const own = (await answer("https://app.example.com", path)).headers["access-control-allow-origin"];
      expect(own).toBe(path === "/" ? "https://app.example.com" : undefined);
      expect((await answer("https://evil.example.com", path)).headers["access-control-allow-origin"]).toBeUndefined();
    }
  });
  it("keeps cookies out of path routes on a name that is not loopback (I4)", async () => {
    seen = [];
    const path = "/fn/acme/hello/";
    const shared = await platform.call(path, { host: "api.example.com", headers: { cookie: "session=1" } });
    expect([shared.status, shared.headers["set-cookie"], shared.headers["content-security-policy"]]).toEqual([200, undefined, "sandbox"]);
    const local = await platform.call(path, { host: "localhost", headers: { cookie: "session=1" } });
    expect([local.status, local.headers["set-cookie"]?.length, local.headers["content-security-policy"]]).toEqual([200, 2, undefined]);
    expect(seen.map((headers) => headers["cookie"])).toEqual([undefined, "session=1"]);
    expect((await platform.call(path, { host: "hello--acme.localhost" })).status).toBe(200);
  });
});

describe("a path route", () => {
  it("says nothing that holds for its whole origin, in fields or trailers", async () => {
    const wide = {
      "clear-site-data": '"*"',
      nel: '{"report_to":"x","max_age":1}',
      "report-to": "{}",
      "reporting-endpoints": 'x="https://evil.example.com"',
      "strict-transport-security": "max-age=1",
      "service-worker-allowed": "/",
      "sec-session-registration": '(ES256);path="/x"',
      "secure-session-registration": '(ES256);path="/x"',
      "alt-svc": 'h2="evil.example.com:443"',
    };
    const upstream = await platform.upstream((_request, response) => {
      response.writeHead(200, { ...wide, trailer: "set-cookie, clear-site-data, x-sum" });
      response.write("ok");
      response.addTrailers([
        ["set-cookie", "stolen=1"],
        ["clear-site-data", '"*"'],
        ["x-sum", "42"],
      ]);
      response.end();
    });
    await platform.serve(upstream, { function: "wide", access: "public", tenantId: hello.tenantId });
    const byHost = await platform.call("/", { host: "wide--acme.localhost" });
    expect(byHost.headers).toMatchObject(wide); // the function has an origin of its own
    for (const host of ["localhost", "api.example.com"]) {
      const answer = await platform.call("/fn/acme/wide/", { host });
      for (const name of Object.keys(wide)) expect(answer.headers).not.toHaveProperty(name);
      expect(answer.trailers).toEqual({ "x-sum": "42" });
    }
  });
});

describe("weights", () => {
  it("splits between the versions of the alias", async () => {
    const [a, b] = await Promise.all(["1", "2"].map((version) => platform.upstream((_request, response) => response.end(version))));
    const route = makeRoute({
      function: "split",
      tenantId: hello.tenantId,
      targets: [
        { versionId: crypto.randomUUID(), version: 1, weight: 50 },
        { versionId: crypto.randomUUID(), version: 2, weight: 50 },
      ],
    });
    platform.control.onLease = (request) => makeLease(request, (request.versionId === route.targets[0]?.versionId ? a : b)!.path);
    await platform.publish(route);
    const versions = new Set<string>();
    await until(async () => versions.add((await platform.call("/", { host: "split--acme.localhost" })).body).size === 2);
    expect([...versions].toSorted()).toEqual(["1", "2"]);
  });
});
