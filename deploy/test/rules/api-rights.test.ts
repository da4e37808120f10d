// Rights come before bodies: a token that may not do something is told so while its body is still on its way, for every operation that has one.
// And the API's own document, which anybody may read.
import { afterAll, beforeAll, expect, test } from "vitest";
import { apiKindOf } from "@fnctl/control-plane/contract/api-kinds";
import { createApiPlatform, type ApiPlatform } from "../src/api-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let api: ApiPlatform;
let tokens: Record<"invoke" | "read" | "operator" | "none", string>;
let withBodies: [method: string, path: string][];

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  api = await createApiPlatform(postgres);
  const tenant = await api.platform.tenant();
  tokens = {
    invoke: await api.token(tenant, ["invoke"]),
    read: await api.token(tenant, ["read"]),
    operator: api.operator,
    none: `fnctl_${"a".repeat(8)}_${"b".repeat(43)}`,
  };
  const document = (await (await api.app.request("/v1/openapi.json")).json()) as { paths: Record<string, Record<string, object>> };
  withBodies = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => ["post", "put", "patch", "delete"].includes(method))
      .map((method): [string, string] => [
        method.toUpperCase(),
        path.replaceAll(/\{\w+\}/g, (name) => (name === "{digest}" ? DIGEST : ID)),
      ]),
  );
});
afterAll(async () => {
  await api.close();
  await postgres.stop();
});
const DIGEST = `sha256:${"0".repeat(64)}`;
const ID = "01900000-0000-7000-8000-00000000000a";

/** A body of which one byte comes, and then nothing. */
function slowRequest(method: string, path: string, token: string) {
  let asked = 0;
  const body = new ReadableStream({
    pull(controller) {
      asked += 1;
      if (asked === 1) controller.enqueue(Buffer.from("{"));
    },
  });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return api.app.request(path, { method, headers, body, duplex: "half" } as RequestInit);
}

test("every operation that changes something answers a token without the right before the body has come", async () => {
  expect(withBodies.length).toBeGreaterThan(7);
  for (const [method, path] of withBodies) {
    const operators = path.startsWith("/v1/tenants") || path.startsWith("/v1/conditions");
    for (const [who, status] of [
      ["none", 401],
      ["invoke", 403],
      ["read", 403],
      ...(operators ? [] : [["operator", 403] as const]),
    ] as const)
      expect([method, path, who, (await slowRequest(method, path, tokens[who])).status]).toEqual([method, path, who, status]);
  }
});

test("the document is one and the same, and is not sent again to whoever has it", async () => {
  const first = await api.app.request("/v1/openapi.json");
  const etag = first.headers.get("etag") ?? "";
  const text = await first.text();
  expect(JSON.parse(text)).toMatchObject({ openapi: "3.1.0", paths: { "/v1/functions": { get: { security: [{ token: [] }] } } } });
  expect(await (await api.app.request("/v1/openapi.json")).text()).toBe(text);
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const again = await api.app.request("/v1/openapi.json", { headers: { "if-none-match": known } });
    expect([known, again.status, await again.text(), again.headers.get("etag")]).toEqual([known, 304, "", etag]);
  }
  expect((await api.app.request("/v1/openapi.json", { headers: { "if-none-match": '"other"' } })).status).toBe(200);
});

test("gateways know which operations are streams and which are uploads", async () => {
  const document = (await (await api.app.request("/v1/openapi.json")).json()) as {
    paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, unknown> }> }>>;
  };
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { responses }] of Object.entries(methods)) {
      const streams = responses["200"]?.content?.["application/x-ndjson"] !== undefined;
      const kind = streams ? "stream" : method === "put" && path === "/v1/blobs/{digest}" ? "upload" : "call";
      expect([method, path, apiKindOf(method.toUpperCase(), `${path.replaceAll(/\{\w+\}/g, "x")}?after=1`)]).toEqual([method, path, kind]);
    }
});
