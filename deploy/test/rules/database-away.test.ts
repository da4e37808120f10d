// While Postgres is not reachable, every operation of the API says so with a hint, and none answers with an internal error.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApiPlatform, type ApiPlatform } from "../src/api-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let api: ApiPlatform;
let tokens: { tenant: string; operator: string };
const ID = "01900000-0000-7000-8000-000000000001";
const DIGEST = `sha256:${"0".repeat(64)}`;
/** A valid body for each operation that needs one. */
const BODIES: Record<string, object> = {
  "POST /v1/tenants": { slug: "new-tenant" },
  "PATCH /v1/tenants/{id}": { risk: "elevated" },
  "POST /v1/tokens": { name: "new" },
  "POST /v1/functions/{name}/versions": { sourceDigest: DIGEST, config: { runtime: "node24" } },
  "PUT /v1/functions/{name}/aliases/live": { version: 1 },
};

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  api = await createApiPlatform(postgres);
  tokens = { tenant: await api.token(await api.platform.tenant()), operator: api.operator };
});
afterAll(() => api.close());

test("every operation answers UNAVAILABLE with a hint", async () => {
  const document = (await (await api.app.request("/v1/openapi.json")).json()) as { paths: Record<string, Record<string, unknown>> };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path]),
  );
  await postgres.stop();
  expect(operations.length).toBeGreaterThan(15);
  for (const [method = "", path = ""] of operations) {
    const body = BODIES[`${method} ${path}`];
    const url = path.replace("{name}", "known").replace("{id}", ID).replace("{digest}", DIGEST);
    const token = /^\/v1\/(tenants|conditions)/.test(path) ? tokens.operator : tokens.tenant;
    const answer = await api.app.request(url, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": body === undefined ? "application/octet-stream" : "application/json" },
      ...(body === undefined ? (method === "PUT" ? { body: "bytes" } : {}) : { body: JSON.stringify(body) }),
    });
    expect([method, path, answer.status, await answer.json()]).toMatchObject([
      method,
      path,
      503,
      { code: "UNAVAILABLE", hint: expect.any(String), requestId: expect.any(String) },
    ]);
  }
});
