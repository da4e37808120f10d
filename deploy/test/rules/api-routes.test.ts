// Each route of the API with every kind of token: which tokens are allowed and refused, that another tenant's resources look as if they did
// not exist, and wrong input. The API runs in this process on a real Postgres, without root and without a sandbox.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EGRESS_ROUTES } from "../src/egress-route-cases.ts";
import { NOBODY, UUID, type Case, type Who } from "../src/route-case.ts";
import { createApiPlatform, type ApiPlatform } from "../src/api-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let api: ApiPlatform;
const secrets: Partial<Record<Who, string>> = {};
const known = { tenant: "", stranger: "", token: "", rule: "", build: "", digest: "", foreignDigest: `sha256:${"f".repeat(64)}` };

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  api = await createApiPlatform(postgres);
  const { platform } = api;
  [known.tenant, known.stranger] = [await platform.tenant(), await platform.tenant()];
  for (const who of ["admin", "deploy", "read", "invoke"] as const) secrets[who] = await api.token(known.tenant, [who]);
  secrets.stranger = await api.token(known.stranger);
  secrets.operator = api.operator;
  for (const name of ["hello", "goes"]) {
    const made = await platform.deploy(known.tenant, name);
    await platform.run(made.job);
    Object.assign(known, { build: made.build.id, digest: made.sourceDigest });
  }
  await platform.deploy(known.tenant, "waits"); // its build is queued
  const foreign = await platform.deploy(known.stranger, "theirs");
  known.foreignDigest = foreign.sourceDigest;
  const listed = await ask("GET", { who: "admin", path: "/v1/tokens", answer: 200 });
  known.token = ((await listed.json()) as { items: { id: string; name: string }[] }).items.find(({ name }) => name === "first")!.id;
  const set = { who: "admin", path: "/v1/egress/rules", body: { action: "allow", rule: "first.example" }, answer: 201 } as const;
  known.rule = ((await (await ask("POST", set)).json()) as { id: string }).id;
});
afterAll(async () => {
  await api.close();
  await postgres.stop();
});

function ask(method: string, { who, path, body, headers = {} }: Case): Promise<Response> {
  const filled = path.replace(/\$(\w+)/g, (_all, name: keyof typeof known) => known[name]);
  const secret = secrets[who];
  const type = body === undefined || typeof body === "string" ? {} : { "content-type": "application/json" };
  const text =
    typeof body === "string" || body === undefined
      ? body
      : JSON.stringify(body).replace(/\$(\w+)/g, (_all, name: keyof typeof known) => known[name]);
  return Promise.resolve(
    api.app.request(filled, {
      method,
      headers: { ...type, ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }), ...headers },
      ...(text === undefined ? {} : { body: text }),
    }),
  );
}

const config = { runtime: "node24" };
const BYTES = "some bytes";
const OF_BYTES = `sha256:${createHash("sha256").update(BYTES).digest("hex")}`;
/** The order matters: cases that change a fixture come after cases that need it. */
const ROUTES: Record<string, Case[]> = {
  "GET /v1/whoami": [
    { ...NOBODY, path: "/v1/whoami" },
    { who: "invoke", path: "/v1/whoami", answer: 200 },
    { who: "operator", path: "/v1/whoami", answer: 200 },
  ],
  "POST /v1/tenants": [
    { ...NOBODY, path: "/v1/tenants", body: { slug: "made" } },
    { who: "admin", path: "/v1/tenants", body: { slug: "made" }, answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/tenants", body: { slug: "Made Wrong" }, answer: [400, "BAD_REQUEST"] },
    { who: "operator", path: "/v1/tenants", body: { slug: "made" }, answer: 201 },
    { who: "operator", path: "/v1/tenants", body: { slug: "made" }, answer: [409, "CONFLICT"] },
  ],
  "PATCH /v1/tenants/{id}": [
    { ...NOBODY, path: "/v1/tenants/$stranger", body: { risk: "elevated" } },
    { who: "admin", path: "/v1/tenants/$tenant", body: { risk: "elevated" }, answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/tenants/$stranger", body: { risk: "less" }, answer: [400, "BAD_REQUEST"] },
    { who: "operator", path: `/v1/tenants/${UUID}`, body: { risk: "elevated" }, answer: [404, "NOT_FOUND"] },
    { who: "operator", path: "/v1/tenants/$stranger", body: { risk: "elevated" }, answer: 200 },
    { who: "operator", path: "/v1/tenants/$stranger", body: { risk: "standard" }, answer: [409, "CONFLICT"] },
  ],
  "GET /v1/tokens": [
    { ...NOBODY, path: "/v1/tokens" },
    { who: "deploy", path: "/v1/tokens", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/tokens", answer: [403, "FORBIDDEN"] },
    { who: "admin", path: "/v1/tokens", answer: 200 },
  ],
  "POST /v1/tokens": [
    { ...NOBODY, path: "/v1/tokens", body: { name: "ci" } },
    { who: "deploy", path: "/v1/tokens", body: { name: "ci" }, answer: [403, "FORBIDDEN"] },
    { who: "admin", path: "/v1/tokens", body: { name: "ci", scopes: ["operator"] }, answer: [400, "BAD_REQUEST"] },
    { who: "admin", path: "/v1/tokens", body: { name: "ci", scopes: ["deploy"], expiresInSeconds: 60 }, answer: 201 },
  ],
  "DELETE /v1/tokens/{id}": [
    { ...NOBODY, path: "/v1/tokens/$token" },
    { who: "deploy", path: "/v1/tokens/$token", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/tokens/$token", answer: [404, "NOT_FOUND"] },
    { who: "admin", path: "/v1/tokens/first", answer: [400, "BAD_REQUEST"] },
    { who: "admin", path: "/v1/tokens/$token", answer: 204 },
    { who: "admin", path: "/v1/tokens/$token", answer: [404, "NOT_FOUND"] },
  ],
  "GET /v1/functions": [
    { ...NOBODY, path: "/v1/functions" },
    { who: "invoke", path: "/v1/functions", answer: [403, "FORBIDDEN"] },
    { who: "read", path: "/v1/functions?limit=0", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/functions?limit=1", answer: 200 },
  ],
  "GET /v1/functions/{name}": [
    { ...NOBODY, path: "/v1/functions/hello" },
    { who: "invoke", path: "/v1/functions/hello", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/functions/hello", answer: [404, "NOT_FOUND"] },
    { who: "read", path: "/v1/functions/Not%20A%20Name", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/functions/hello", answer: 200 },
  ],
  "GET /v1/functions/{name}/versions": [
    { ...NOBODY, path: "/v1/functions/hello/versions" },
    { who: "invoke", path: "/v1/functions/hello/versions", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/functions/hello/versions", answer: [404, "NOT_FOUND"] },
    { who: "read", path: "/v1/functions/hello/versions?cursor=nonsense", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/functions/hello/versions", answer: 200 },
  ],
  "POST /v1/functions/{name}/versions": [
    { ...NOBODY, path: "/v1/functions/hello/versions", body: { sourceDigest: "$digest", config } },
    { who: "read", path: "/v1/functions/hello/versions", body: { sourceDigest: "$digest", config }, answer: [403, "FORBIDDEN"] },
    {
      who: "deploy",
      path: "/v1/functions/hello/versions",
      body: { sourceDigest: "$digest", config: { runtime: "perl5" } },
      answer: [400, "BAD_REQUEST"],
    },
    { who: "deploy", path: "/v1/functions/hello/versions", body: { sourceDigest: "$foreignDigest", config }, answer: [404, "NOT_FOUND"] },
    {
      who: "deploy",
      path: "/v1/functions/hello/versions",
      body: { sourceDigest: "$digest", config },
      headers: { "idempotency-key": "" },
      answer: [400, "BAD_REQUEST"],
    },
    {
      who: "deploy",
      path: "/v1/functions/hello/versions",
      body: { sourceDigest: "$digest", config, promote: false },
      headers: { "idempotency-key": "k" },
      answer: 201,
    },
    {
      who: "deploy",
      path: "/v1/functions/hello/versions",
      body: { sourceDigest: "$digest", config, promote: false },
      headers: { "idempotency-key": "k" },
      answer: 201,
    },
    {
      who: "deploy",
      path: "/v1/functions/hello/versions",
      body: { sourceDigest: "$digest", config },
      headers: { "idempotency-key": "k" },
      answer: [422, "IDEMPOTENCY_MISMATCH"],
    },
  ],
  "PUT /v1/functions/{name}/aliases/live": [
    { ...NOBODY, path: "/v1/functions/hello/aliases/live", body: { version: 1 } },
    { who: "read", path: "/v1/functions/hello/aliases/live", body: { version: 1 }, answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/functions/hello/aliases/live", body: { version: 1 }, answer: [404, "NOT_FOUND"] },
    { who: "deploy", path: "/v1/functions/hello/aliases/live", body: { version: 0 }, answer: [400, "BAD_REQUEST"] },
    { who: "deploy", path: "/v1/functions/hello/aliases/live", body: { version: 99 }, answer: [404, "NOT_FOUND"] },
    { who: "deploy", path: "/v1/functions/waits/aliases/live", body: { version: 1 }, answer: [409, "CONFLICT"] },
    {
      who: "deploy",
      path: "/v1/functions/hello/aliases/live",
      body: { version: 1 },
      headers: { "if-match": '"0"' },
      answer: [412, "PRECONDITION_FAILED"],
    },
    { who: "deploy", path: "/v1/functions/hello/aliases/live", body: { version: 1 }, answer: 200 },
  ],
  "GET /v1/functions/{name}/logs": [
    { ...NOBODY, path: "/v1/functions/hello/logs" },
    { who: "invoke", path: "/v1/functions/hello/logs", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/functions/hello/logs", answer: [404, "NOT_FOUND"] },
    { who: "read", path: "/v1/functions/hello/logs?limit=many", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/functions/hello/logs", answer: 200 },
  ],
  "DELETE /v1/functions/{name}": [
    { ...NOBODY, path: "/v1/functions/goes" },
    { who: "read", path: "/v1/functions/goes", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/functions/goes", answer: [404, "NOT_FOUND"] },
    { who: "deploy", path: "/v1/functions/Goes!", answer: [400, "BAD_REQUEST"] },
    { who: "deploy", path: "/v1/functions/goes", answer: 204 },
    { who: "deploy", path: "/v1/functions/goes", answer: [404, "NOT_FOUND"] },
  ],
  "GET /v1/blobs/{digest}": [
    { ...NOBODY, path: "/v1/blobs/$digest" },
    { who: "read", path: "/v1/blobs/$digest", answer: [403, "FORBIDDEN"] },
    { who: "deploy", path: "/v1/blobs/$foreignDigest", answer: [404, "NOT_FOUND"] },
    { who: "deploy", path: "/v1/blobs/md5:1", answer: [400, "BAD_REQUEST"] },
    { who: "deploy", path: "/v1/blobs/$digest", answer: 204 },
  ],
  "PUT /v1/blobs/{digest}": [
    { ...NOBODY, path: `/v1/blobs/${OF_BYTES}`, body: BYTES },
    { who: "read", path: `/v1/blobs/${OF_BYTES}`, body: BYTES, answer: [403, "FORBIDDEN"] },
    { who: "deploy", path: "/v1/blobs/md5:1", body: BYTES, answer: [400, "BAD_REQUEST"] },
    { who: "deploy", path: `/v1/blobs/${OF_BYTES}`, answer: [400, "BAD_REQUEST"] },
    { who: "deploy", path: `/v1/blobs/${OF_BYTES}`, body: `${BYTES}.`, answer: [422, "DIGEST_MISMATCH"] },
    { who: "deploy", path: `/v1/blobs/${OF_BYTES}`, body: BYTES, answer: 201 },
    { who: "stranger", path: `/v1/blobs/${OF_BYTES}`, body: BYTES, answer: 201 },
  ],
  "GET /v1/builds/{id}": [
    { ...NOBODY, path: "/v1/builds/$build" },
    { who: "invoke", path: "/v1/builds/$build", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/builds/$build", answer: [404, "NOT_FOUND"] },
    { who: "read", path: "/v1/builds/first", answer: [400, "BAD_REQUEST"] },
  ],
  "GET /v1/builds/{id}/events": [
    { ...NOBODY, path: "/v1/builds/$build/events" },
    { who: "invoke", path: "/v1/builds/$build/events", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/builds/$build/events", answer: [404, "NOT_FOUND"] },
    { who: "read", path: "/v1/builds/$build/events?after=-2", answer: [400, "BAD_REQUEST"] },
  ],
  ...EGRESS_ROUTES,
  "GET /v1/conditions": [
    { ...NOBODY, path: "/v1/conditions" },
    { who: "admin", path: "/v1/conditions", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/conditions", answer: 200 },
  ],
  "POST /v1/conditions/check": [
    { ...NOBODY, path: "/v1/conditions/check" },
    { who: "admin", path: "/v1/conditions/check", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/conditions/check", answer: 200 },
  ],
};

test.each(Object.entries(ROUTES))("%s", async (route, cases) => {
  const [method = ""] = route.split(" ");
  for (const each of cases) {
    const answer = await ask(method, each);
    const text = await answer.text();
    const told = answer.status < 300 ? answer.status : [answer.status, (JSON.parse(text) as { code: string }).code];
    expect([each.who, each.path, told]).toEqual([each.who, each.path, each.answer]);
  }
});

test("a build and its events are read by their tenant", async () => {
  const { platform } = api;
  const made = await platform.deploy(known.tenant, "built");
  await platform.run(made.job);
  const at = `/v1/builds/${made.build.id}`;
  const build = await ask("GET", { who: "read", path: at, answer: 200 });
  expect([build.status, await build.json()]).toEqual([200, expect.objectContaining({ state: "succeeded" })]);
  const events = await ask("GET", { who: "read", path: `${at}/events?follow=false`, answer: 200 });
  expect((await events.text()).trim().split("\n").at(-1)).toContain('"type":"end"');
});

test("lists hold what is the caller's own", async () => {
  const names = async (who: Who) => {
    const answer = await ask("GET", { who, path: "/v1/functions", answer: 200 });
    return ((await answer.json()) as { items: { name: string }[] }).items.map(({ name }) => name);
  };
  expect(await names("read")).toContain("hello");
  expect(await names("stranger")).toEqual(["theirs"]);
});

test("no route of the API's own document is left out", async () => {
  const { paths } = (await (await api.app.request("/v1/openapi.json")).json()) as { paths: Record<string, Record<string, unknown>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(Object.keys(ROUTES).toSorted()).toEqual(routes.toSorted());
});
