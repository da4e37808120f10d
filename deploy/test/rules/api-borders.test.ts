// Sends values at and beyond the borders of every field of every operation in the API's own OpenAPI document: each answer must have an
// error code, and none may say that the platform failed.
import { hash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { functionConfigSchema } from "@fnctl/control-plane/contract/config";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { DEFAULT_CAPS } from "@fnctl/control-plane/contract/tenant-caps";
import { createApiPlatform, type ApiPlatform } from "../src/api-platform.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";
import { by } from "../src/build-platform.ts";

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: unknown[];
  $ref?: string;
  allOf?: Schema[];
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
}
interface Operation {
  parameters?: { name: string; in: "path" | "query" | "header"; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

let postgres: TestPostgres;
let api: ApiPlatform;
let document: Document;
let tenant: string;
let tokens: { tenant: string; operator: string };
let buildId: string;
const DIGEST = `sha256:${"0".repeat(64)}`;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  api = await createApiPlatform(postgres);
  document = (await (await api.app.request("/v1/openapi.json")).json()) as Document;
  tenant = await api.platform.tenant();
  tokens = { tenant: await api.token(tenant), operator: api.operator };
  buildId = (await api.platform.deploy(tenant, "known")).build.id;
});
afterAll(async () => {
  await api.close();
  await postgres.stop();
});

const resolve = (schema: Schema): Schema =>
  schema.$ref === undefined ? schema : resolve(document.components.schemas[schema.$ref.split("/").at(-1)!]!);

/** Values that are tried in every field, whatever its type. */
const ANYWHERE: unknown[] = [
  null, true, 0, -1, 1.5, 2 ** 31 - 1, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 2 ** 53, 1e308, "", "a", "\0", "a\0b", "\ud800", "\udc00x", "é".repeat(40),
  "a".repeat(256), "a".repeat(70_000), "../x", "' or 1=1 --", "%00", "YWJj", "[object Object]", "__proto__", "2026-01-01", "-0", "0x10", "1e3",
  [], [null], {}, { a: 1 }, { __proto__: null, constructor: 1 }, Array.from({ length: 300 }, () => "x"),
]; // prettier-ignore

/** Values around the borders that a schema names. */
function borders(given: Schema): unknown[] {
  const schema = resolve(given);
  const { minimum, maximum, exclusiveMinimum, minLength, maxLength, maxItems } = schema;
  const numbers = [minimum, maximum, exclusiveMinimum].flatMap((at) => (at === undefined ? [] : [at - 1, at, at + 1]));
  const lengths = [minLength, maxLength]
    .flatMap((at) => (at === undefined ? [] : [at - 1, at, at + 1]))
    .filter((at) => at >= 0 && at < 1e6);
  const lists = maxItems === undefined ? [] : [maxItems, maxItems + 1].map((count) => Array.from({ length: count }, () => "x"));
  return [...numbers, ...lengths.map((length) => "a".repeat(length)), ...lists, ...(schema.enum ?? [])];
}

/** A value that the schema accepts, or nearly. */
function sample(given: Schema, name = ""): unknown {
  const schema = resolve(given);
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.allOf !== undefined) return sample(schema.allOf[0]!, name);
  if (schema.anyOf !== undefined) return sample(schema.anyOf[0]!, name);
  if (name === "sourceDigest" || name === "digest") return DIGEST;
  if (name === "id") return randomUUID();
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "integer" || type === "number") return Math.max(1, schema.minimum ?? 1);
  if (type === "boolean") return true;
  if (type === "array") return [];
  if (type === "object") return {};
  return "known";
}

/** Every field of a body, as a path of names; `additionalProperties` and array elements are represented by one example. */
function places(given: Schema, path: string[] = [], depth = 0): { path: string[]; schema: Schema }[] {
  const schema = resolve(given);
  const below = Object.entries(schema.properties ?? {});
  if (schema.items !== undefined) below.push(["0", schema.items]);
  if (typeof schema.additionalProperties === "object") below.push(["KEY", schema.additionalProperties]);
  return [{ path, schema }, ...(depth > 5 ? [] : below.flatMap(([name, child]) => places(child, [...path, name], depth + 1)))];
}

function bodyWith(schema: Schema, path: string[], value: unknown): unknown {
  if (path.length === 0) return value;
  const [name, ...rest] = path as [string, ...string[]];
  const known = resolve(schema);
  const child = known.properties?.[name] ?? known.items ?? (known.additionalProperties as Schema);
  if (known.items !== undefined) return [bodyWith(child, rest, value)];
  const others = Object.entries(known.properties ?? {}).map(([other, its]) => [other, sample(its, other)] as const);
  return { ...Object.fromEntries(others), [name]: bodyWith(child, rest, value) };
}

interface Request {
  method: string;
  url: string;
  body?: string;
  headers?: Record<string, string>;
}
async function send({ method, url, body, headers = {} }: Request): Promise<void> {
  const operator = url.startsWith("/v1/tenants") || url.startsWith("/v1/conditions");
  const answer = await api.app.request(url, {
    method,
    headers: {
      authorization: `Bearer ${operator ? tokens.operator : tokens.tenant}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  const said = `${method} ${url.slice(0, 200)} ${body?.slice(0, 200) ?? ""} → ${answer.status} ${text.slice(0, 300)}`;
  expect(answer.status, said).toBeLessThan(500);
  if (answer.status >= 400)
    expect(JSON.parse(text), said).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), requestId: expect.any(String) });
  expect(api.errors.splice(0), said).toEqual([]);
}

const KNOWN: Record<string, string> = { name: "known", digest: DIGEST };
const fill = (path: string, over: Record<string, string> = {}): string =>
  path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(over[name] ?? (name === "id" ? buildId : KNOWN[name]!)));
const operations = (): { method: string; path: string; operation: Operation }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
const text = (value: unknown): string => (typeof value === "object" ? JSON.stringify(value) : String(value));

describe("at every border", () => {
  test("of path and query: a code, and never a fault of the platform", async () => {
    for (const { method, path, operation } of operations())
      for (const { name, in: where, schema } of operation.parameters ?? []) {
        const values = [...ANYWHERE, ...borders(schema)].map(text).filter((value) => value.isWellFormed() && value.length < 5_000);
        for (const value of values) {
          if (where === "path" && (value === "" || value === "." || value === "..")) continue; // would be another route's path
          const url =
            where === "path"
              ? fill(path, { [name]: value })
              : `${fill(path)}?${new URLSearchParams({ [name]: value, follow: "false" }).toString()}`;
          await send({ method, url, ...(operation.requestBody === undefined ? {} : { body: "{}" }) });
        }
      }
  });

  test("of every body's every field", async () => {
    for (const { method, path, operation } of operations()) {
      const schema = operation.requestBody?.content["application/json"]?.schema;
      if (schema === undefined) continue;
      for (const place of places(schema))
        for (const value of [...ANYWHERE, ...borders(place.schema)])
          await send({ method, url: fill(path), body: JSON.stringify(bodyWith(schema, place.path, value)) ?? "" });
    }
  });

  test("of headers and bodies that are no documents", async () => {
    const bodies = [
      "",
      " ",
      "{",
      "[]",
      "null",
      '"x"',
      "1",
      "\0",
      "{}{}",
      '{"__proto__":{"x":1}}',
      "\ufeff{}",
      `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
    ];
    bodies.push(
      `{"scopes":[${Array.from({ length: 80_000 }, () => '""').join()}]}`,
      `{${Array.from({ length: 9_000 }, (_, at) => `"k${at}":1`).join()}}`,
    );
    bodies.push("x".repeat(LIMITS.apiBodyBytes), "x".repeat(LIMITS.apiBodyBytes + 1));
    const types = [
      "application/json",
      "application/vnd.api+json",
      "application/x-json; charset=utf-16",
      "text/plain",
      "multipart/form-data; boundary=x",
    ];
    for (const { method, path, operation } of operations()) {
      if (operation.requestBody === undefined) continue;
      for (const body of bodies) for (const type of types) await send({ method, url: fill(path), body, headers: { "content-type": type } });
    }
    for (const value of ["", "x".repeat(255), "x".repeat(256), "é", "\t", '"'])
      for (const header of ["idempotency-key", "if-match", "x-request-id", "content-length"]) {
        const body = JSON.stringify({ sourceDigest: DIGEST, config: { runtime: "node24" }, version: 1 });
        for (const url of ["/v1/functions/known/versions", "/v1/functions/known/aliases/live"])
          await send({ method: url.endsWith("live") ? "PUT" : "POST", url, body, headers: { [header]: value } });
      }
  });
});

describe("limits of a body", () => {
  const post = (body: string) =>
    api.app.request("/v1/tokens", {
      method: "POST",
      body,
      headers: { authorization: `Bearer ${tokens.tenant}`, "content-type": "application/json" },
    });
  const codeOf = async (answer: Response) => [answer.status, ((await answer.json()) as { code?: string; detail?: string }).detail];

  test("values: so many, and one more", async () => {
    const list = (count: number) => JSON.stringify({ name: "x", extra: Array.from({ length: count }, () => 1) });
    const own = 3; // the object, its name, the list
    // The limit lets it pass, and the schema refuses it.
    expect((await codeOf(await post(list(LIMITS.apiBodyValues - own))))[1]).toContain("extra");
    expect((await codeOf(await post(list(LIMITS.apiBodyValues - own + 1))))[1]).toContain("more than");
  });

  test("depth: so deep, and one deeper", async () => {
    const nested = (depth: number) => `{"name":"x","extra":${"[".repeat(depth)}1${"]".repeat(depth)}}`;
    expect((await codeOf(await post(nested(LIMITS.apiBodyDepth - 1))))[1]).toContain("extra");
    expect((await codeOf(await post(nested(LIMITS.apiBodyDepth))))[1]).toContain("deeper");
  });
});

describe("caps of a tenant", () => {
  test("tokens: exact when many come at once, and revoked ones do not count", async () => {
    const small = await createApiPlatform(postgres, { ...DEFAULT_CAPS, tokens: 5 });
    const own = await small.platform.tenant();
    const headers = { authorization: `Bearer ${await small.token(own)}`, "content-type": "application/json" };
    const make = async () =>
      small.app.request("/v1/tokens", { method: "POST", headers, body: JSON.stringify({ name: "x", scopes: ["read", "read"] }) });
    const answers = await Promise.all(Array.from({ length: 12 }, make));
    const made = answers.filter(({ status }) => status === 201);
    expect(made).toHaveLength(3); // besides these the tenant has its first token and the one that makes the requests
    for (const answer of answers)
      if (answer.status !== 201) expect(await answer.json()).toMatchObject({ code: "QUOTA_EXCEEDED", hint: expect.any(String) });
    const { id, scopes } = (await made[0]!.json()) as { id: string; scopes: string[] };
    expect(scopes).toEqual(["read"]);
    await small.app.request(`/v1/tokens/${id}`, { method: "DELETE", headers });
    expect((await make()).status).toBe(201);
    expect((await make()).status).toBe(429);
    await small.close();
  });

  test("sources: above the cap those go that were used longest ago, never what is being built, and then it is refused", async () => {
    const small = await createApiPlatform(postgres, { ...DEFAULT_CAPS, sourceBytes: 300 });
    const { platform } = small;
    const own = await platform.tenant();
    const put = async (byte: number) => {
      const bytes = Buffer.alloc(100, byte);
      const digest = `sha256:${hash("sha256", bytes, "hex")}`;
      await platform.blobs.put(by(own), digest, Readable.from([bytes]));
      return digest;
    };
    const digests = [await put(1), await put(2), await put(3)];
    const has = async () => Promise.all(digests.map((digest) => platform.blobs.has(by(own), digest)));
    const config = functionConfigSchema.parse({ runtime: "node24" });
    await platform.functions.createVersion(
      by(own),
      "building",
      { sourceDigest: digests[0]!, config, promote: false },
      { answer: () => undefined },
    );
    digests.push(await put(4));
    expect(await has()).toEqual([true, false, true, true]);
    for (const digest of digests.slice(2))
      await platform.functions.createVersion(
        by(own),
        "building",
        { sourceDigest: digest, config, promote: false },
        { answer: () => undefined },
      );
    await expect(put(5)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(await has()).toEqual([true, false, true, true]);
    await small.close();
  });
});
