// The same request several times at once, through the API and a real Postgres: what may happen once happens once, and everybody is told so.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { functionConfigSchema } from "@fnctl/control-plane/contract/config";
import { createApiPlatform, type ApiPlatform } from "../src/api-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";

let postgres: TestPostgres;
let api: ApiPlatform;
let tenant: string;
let token: string;
let sourceDigest: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  api = await createApiPlatform(postgres);
  tenant = await api.platform.tenant();
  token = await api.token(tenant);
  ({ sourceDigest } = await api.platform.deploy(tenant, "known"));
});
afterAll(async () => {
  await api.close();
  await postgres.stop();
});

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const init = { method, headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers } };
  return Promise.resolve(api.app.request(path, body === undefined ? init : { ...init, body: JSON.stringify(body) }));
}
const config = functionConfigSchema.parse({ runtime: "node24" });
const deploy = (name: string, headers?: Record<string, string>) =>
  call("POST", `/v1/functions/${name}/versions`, { sourceDigest, config }, headers);
const atOnce = (count: number, one: () => Promise<Response>) => Promise.all(Array.from({ length: count }, one));
const versionsOf = async (name: string) =>
  ((await (await call("GET", `/v1/functions/${name}/versions`)).json()) as { items: { number: number }[] }).items.map(
    ({ number }) => number,
  );

test("first deploys of a new name are one function with a version each", async () => {
  const answers = await atOnce(30, () => deploy("fresh"));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 30 }, () => 201));
  expect((await versionsOf("fresh")).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
});

test("one Idempotency-Key is one version: the same answer for all that come after it, CONFLICT for those that come meanwhile", async () => {
  const key = { "idempotency-key": randomUUID() };
  const answers = await atOnce(8, () => deploy("once", key));
  const made = await Promise.all(
    [...answers.filter(({ status }) => status === 201), await deploy("once", key)].map((answer) => answer.text()),
  );
  expect(new Set(made).size).toBe(1);
  expect(new Set(answers.map(({ status }) => status))).toContain(201);
  for (const { status } of answers) expect([201, 409]).toContain(status);
  expect(await versionsOf("once")).toEqual([1]);
});

test("of changes that name the same state with If-Match one is made, and the others are told that it has changed", async () => {
  const made = await api.platform.deploy(tenant, "matched");
  await api.platform.run(made.job);
  const etag = (await call("GET", "/v1/functions/matched")).headers.get("etag") ?? "";
  const answers = await atOnce(8, () => call("PUT", "/v1/functions/matched/aliases/live", { version: 1 }, { "if-match": etag }));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 7 }, () => 412)]);
});
