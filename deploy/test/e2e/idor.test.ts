// SECURITY F5: tries every operation of the API on tenant A's resources with tenant B's token. The list of operations comes from the
// OpenAPI document, so a new operation without a case here fails this suite.
import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api, call, deploy } from "./api.ts";
import { archive } from "../src/api-client.ts";
import { createTenant, firstTenant, statusFor, type Tenant } from "./tenants.ts";

const NAME = "treasure";
const FILES = {
  "index.js": `export default () => { console.log("gold in the log"); return new Response("gold"); };`,
  "secret.txt": "alpha only",
};
interface Owned {
  tokenId: string;
  tokenSecret: string;
  buildId: string;
  digest: string;
  cursor: string;
  functionId: string;
  ruleId: string;
}
let a: Tenant;
let b: Tenant;
let owned: Owned;
let source: Buffer;

const asB = (method: string, path: string, options: Parameters<typeof api>[2] = {}) => api(method, path, { ...options, token: b.token });
const asA = (method: string, path: string, options: Parameters<typeof api>[2] = {}) => api(method, path, { ...options, token: a.token });
const json = async <T>(answer: Response): Promise<T> => (await answer.json()) as T;

beforeAll(async () => {
  [a, b] = [await firstTenant(), await createTenant("burglar")];
  for (const name of [NAME, "treasure-two"]) if ((await deploy(name, FILES)).state !== "succeeded") throw new Error(name);
  await call(NAME);
  source = await archive(FILES);
  const made = await json<{ id: string; secret: string }>(await asA("POST", "/v1/tokens", { body: { name: "mine" } }));
  const { items } = await json<{ items: { build: { id: string } }[] }>(await asA("GET", `/v1/functions/${NAME}/versions`));
  const { nextCursor } = await json<{ nextCursor: string }>(await asA("GET", "/v1/functions?limit=1"));
  const rule = { action: "deny", rule: "treasure.example", function: NAME };
  const { id: ruleId } = await json<{ id: string }>(await asA("POST", "/v1/egress/rules", { body: rule }));
  owned = {
    ruleId,
    tokenId: made.id,
    tokenSecret: made.secret,
    buildId: items[0]!.build.id,
    digest: `sha256:${createHash("sha256").update(source).digest("hex")}`,
    cursor: nextCursor,
    functionId: (await json<{ id: string }>(await asA("GET", `/v1/functions/${NAME}`))).id,
  };
});
afterAll(async () => {
  await asA("DELETE", `/v1/egress/rules/${owned.ruleId}`);
  for (const name of [NAME, "treasure-two"]) await asA("DELETE", `/v1/functions/${name}`);
});

/** Checks that the answer contains no name, id or setting of A. */
async function saysNothingOfA(answer: Response, status = 200): Promise<void> {
  const text = `${JSON.stringify([...answer.headers])}${await answer.text()}`;
  expect(answer.status).toBe(status);
  for (const secret of [a.id, a.slug, owned.tokenId, owned.buildId, owned.functionId, owned.ruleId, NAME, "gold"])
    expect(text).not.toContain(secret);
}

/** Checks that the answer for A's id equals the answer for an id that never existed, except for that id and the request id. */
async function likeUnknown(ask: (id: string) => Promise<Response>, known: string, unknown: string): Promise<void> {
  const shape = async (id: string) => {
    const answer = await ask(id);
    const { requestId, ...body } = await json<{ requestId?: string; code: string }>(answer);
    expect(requestId).toBeDefined();
    return {
      status: answer.status,
      type: answer.headers.get("content-type"),
      body: JSON.parse(JSON.stringify(body).replaceAll(id, "ID")) as object,
    };
  };
  const own = await shape(known);
  expect(own).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
  expect(own).toEqual(await shape(unknown));
}
const byName = (method: string, path: (name: string) => string, options: Parameters<typeof api>[2] = {}) =>
  likeUnknown((name) => asB(method, path(name), options), NAME, "no-treasure");
const byUuid = (method: string, path: (id: string) => string, id: string) =>
  likeUnknown((given) => asB(method, path(given), {}), id, randomUUID());

/** For each operation, a call by B on A's resources with its own assertions. */
const CASES: Record<string, () => Promise<void>> = {
  "get /v1/whoami": async () => saysNothingOfA(await asB("GET", "/v1/whoami")),
  // Only the operator may see the platform's conditions.
  "get /v1/conditions": async () => expect((await asB("GET", "/v1/conditions")).status).toBe(403),
  "post /v1/conditions/check": async () => expect((await asB("POST", "/v1/conditions/check")).status).toBe(403),
  // This operation takes no id, and only the operator may learn whether a slug is taken.
  "post /v1/tenants": async () => {
    for (const slug of [a.slug, "nobody-has-this"]) expect((await asB("POST", "/v1/tenants", { body: { slug } })).status).toBe(403);
  },
  // A tenant may not change its own risk, nor learn whether an id is a tenant's.
  "patch /v1/tenants/{id}": async () => {
    for (const id of [a.id, b.id, randomUUID()])
      expect((await asB("PATCH", `/v1/tenants/${id}`, { body: { risk: "elevated" } })).status).toBe(403);
  },
  "get /v1/tokens": async () => saysNothingOfA(await asB("GET", "/v1/tokens")),
  "post /v1/tokens": async () => {
    const forged = await asB("POST", "/v1/tokens", { body: { name: "forged", tenantId: a.id } });
    expect(forged.status).toBe(400);
    const escalated = await asB("POST", "/v1/tokens", { body: { name: "forged", scopes: ["operator"] } });
    expect(escalated.status).toBe(400);
  },
  "delete /v1/tokens/{id}": async () => {
    await byUuid("DELETE", (id) => `/v1/tokens/${id}`, owned.tokenId);
    expect(await statusFor(owned.tokenSecret)).toBe(404); // A's token still works
  },
  "get /v1/functions": async () => {
    await saysNothingOfA(await asB("GET", "/v1/functions"));
    // A cursor carries no rights: with A's cursor, B reads B's own page.
    await saysNothingOfA(await asB("GET", `/v1/functions?cursor=${owned.cursor}`));
  },
  "get /v1/functions/{name}": () => byName("GET", (name) => `/v1/functions/${name}`),
  "delete /v1/functions/{name}": () => byName("DELETE", (name) => `/v1/functions/${name}`),
  "get /v1/functions/{name}/versions": () => byName("GET", (name) => `/v1/functions/${name}/versions`),
  "post /v1/functions/{name}/versions": async () => {
    // A's source does not exist for B, who never uploaded it.
    const body = { sourceDigest: owned.digest, config: { runtime: "node24" } };
    await byName("POST", (name) => `/v1/functions/${name}/versions`, { body });
    // With A's idempotency key, B's request is handled as B's own and does not get A's answer.
    const headers = { "idempotency-key": "shared-key" };
    const first = await asA("POST", `/v1/functions/${NAME}/versions`, { body: { ...body, promote: false }, headers });
    expect(first.status).toBe(201);
    await saysNothingOfA(await asB("POST", "/v1/functions/other/versions", { body: { ...body, promote: false }, headers }), 404);
  },
  "put /v1/functions/{name}/aliases/live": () => byName("PUT", (name) => `/v1/functions/${name}/aliases/live`, { body: { version: 1 } }),
  "get /v1/functions/{name}/logs": async () => {
    await byName("GET", (name) => `/v1/functions/${name}/logs`);
    await byName("GET", (name) => `/v1/functions/${name}/logs?follow=true`);
  },
  "get /v1/blobs/{digest}": async () => {
    const unknown = `sha256:${"0".repeat(64)}`;
    await likeUnknown((digest) => asB("GET", `/v1/blobs/${digest}`), owned.digest, unknown);
  },
  "put /v1/blobs/{digest}": async () => {
    // Uploading bytes that A has looks like uploading new bytes, and wrong bytes under A's digest are refused.
    expect((await asB("PUT", `/v1/blobs/${owned.digest}`, { raw: Buffer.from("poison") })).status).toBe(422);
    await saysNothingOfA(await asB("PUT", `/v1/blobs/${owned.digest}`, { raw: source }), 201);
    expect((await asA("GET", `/v1/blobs/${owned.digest}`)).status).toBe(204);
  },
  // Only the operator says what of private addresses a tenant may reach, or learns it.
  "get /v1/tenants/{id}/egress-ceiling": async () => {
    for (const id of [a.id, b.id, randomUUID()]) expect((await asB("GET", `/v1/tenants/${id}/egress-ceiling`)).status).toBe(403);
  },
  "put /v1/tenants/{id}/egress-ceiling": async () => {
    const body = { private: [{ addresses: "0.0.0.0/0", ports: [80] }] };
    for (const id of [a.id, b.id, randomUUID()]) expect((await asB("PUT", `/v1/tenants/${id}/egress-ceiling`, { body })).status).toBe(403);
  },
  "get /v1/egress/rules": async () => saysNothingOfA(await asB("GET", "/v1/egress/rules")),
  "post /v1/egress/rules": async () => {
    const body = (name: string) => ({ body: { action: "allow", rule: "a.example", function: name } });
    await likeUnknown((name) => asB("POST", "/v1/egress/rules", body(name)), NAME, "no-treasure");
  },
  "delete /v1/egress/rules/{id}": () => byUuid("DELETE", (id) => `/v1/egress/rules/${id}`, owned.ruleId),
  "get /v1/egress/usage": async () => {
    await saysNothingOfA(await asB("GET", "/v1/egress/usage"));
    await saysNothingOfA(await asB("GET", `/v1/egress/usage?function=${NAME}`));
  },
  "get /v1/egress/log": async () => {
    await saysNothingOfA(await asB("GET", "/v1/egress/log"));
    await saysNothingOfA(await asB("GET", `/v1/egress/log?function=${NAME}`));
  },
  "get /v1/builds/{id}": () => byUuid("GET", (id) => `/v1/builds/${id}`, owned.buildId),
  "get /v1/builds/{id}/events": async () => {
    await byUuid("GET", (id) => `/v1/builds/${id}/events`, owned.buildId);
    await byUuid("GET", (id) => `/v1/builds/${id}/events?follow=false&after=0`, owned.buildId);
  },
};

describe("with another tenant's token", () => {
  // The cases run one after the other, because the upload case changes what earlier cases check.
  test.each(Object.keys(CASES))("%s shows and does nothing", async (operation) => {
    await CASES[operation]!();
  });

  test("every operation of the OpenAPI document was tried", async () => {
    const { paths } = await json<{ paths: Record<string, object> }>(await api("GET", "/v1/openapi.json"));
    const operations = Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));
    expect(operations.toSorted()).toEqual(Object.keys(CASES).toSorted());
  });

  test("afterwards A has everything as it was", async () => {
    expect(await (await call(NAME)).text()).toBe("gold");
    const { items } = await json<{ items: { name: string }[] }>(await asA("GET", "/v1/functions"));
    expect(items.map(({ name }) => name)).toEqual(expect.arrayContaining([NAME, "treasure-two"]));
    expect((await json<{ items: unknown[] }>(await asB("GET", "/v1/functions"))).items).toEqual([]);
  });
});

describe("without a token", () => {
  test("no operation answers", async () => {
    const { paths } = await json<{ paths: Record<string, object> }>(await api("GET", "/v1/openapi.json"));
    for (const [path, item] of Object.entries(paths))
      for (const method of Object.keys(item)) {
        const real = path.replace("{name}", NAME).replace("{digest}", owned.digest).replace("{id}", owned.buildId);
        const answer = await api(method.toUpperCase(), real, { headers: { authorization: "" } });
        expect([method, path, answer.status]).toEqual([method, path, 401]);
      }
  });
});
