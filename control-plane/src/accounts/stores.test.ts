// Tokens and tenants on a real Postgres: what is kept, what is refused, and what two requests at once may not do.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPool } from "../db/pools.ts";
import { createSystemDatabase } from "../db/system-database.ts";
import { createTenantDatabase } from "../db/tenant-database.ts";
import { PLATFORM } from "../db/change.ts";
import { by } from "../../../deploy/test/src/build-platform.ts";
import { A, B, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";
import { createTenantStore } from "./tenant-store.ts";
import { createTokenStore } from "./token-store.ts";
import { createToken } from "./token.ts";

let database: Awaited<ReturnType<typeof openTwoTenants>>;
let pools: pg.Pool[];
let tokens: ReturnType<typeof createTokenStore>;
let tenants: ReturnType<typeof createTenantStore>;
const CAPS = { tokens: 3 };
const named = (name: string, expiresAt: Date | null = null) => ({ name, scopes: ["invoke" as const], expiresAt });

beforeAll(async () => {
  database = await openTwoTenants();
  pools = [createPool(database.postgres.url("app"), () => undefined, 8), createPool(database.postgres.url("system"), () => undefined, 4)];
  tokens = createTokenStore(createTenantDatabase(pools[0]!), CAPS);
  tenants = createTenantStore(createSystemDatabase(pools[1]!));
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await database.close();
});

describe("tokens", () => {
  test("a secret is shown once and kept nowhere; the list is the tenant's own, without what was revoked", async () => {
    const { secret, row } = await tokens.create(by(A), named("ci"));
    const dump = await database.admin.query("SELECT t::text AS line FROM token t");
    expect(JSON.stringify(dump.rows)).not.toContain(secret.split("_")[2]);
    expect((await tokens.list(A)).map(({ id, name }) => [id, name])).toEqual([[row.id, "ci"]]);
    expect(await tokens.list(B)).toEqual([]);
    await expect(tokens.revoke(by(B), row.id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await tokens.revoke(by(A), row.id);
    expect(await tokens.list(A)).toEqual([]);
    await expect(tokens.revoke(by(A), row.id)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("as many as the cap and no more, whoever asks at once; what is revoked or has expired does not count", async () => {
    await tokens.create(by(A), named("expired", new Date(Date.now() - 1_000)));
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => tokens.create(by(A), named(`n${i}`))));
    const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(made).toHaveLength(CAPS.tokens);
    for (const result of results)
      if (result.status === "rejected")
        expect(result.reason).toMatchObject({ code: "QUOTA_EXCEEDED", hint: expect.stringContaining("revoke") });
    await tokens.create(by(B), named("not in A's way"));
    await tokens.revoke(by(A), made[0]!.row.id);
    await expect(tokens.create(by(A), named("again"))).resolves.toBeDefined();
    await expect(tokens.create(by(A), named("too many"))).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
  });
});

describe("tenants", () => {
  const wanted = (slug: string) => ({ slug, risk: "standard" as const, tokenName: "first" });

  test("one name is one tenant, also for two at once; who loses leaves nothing", async () => {
    const count = async () => Number((await database.admin.query("SELECT count(*) FROM token")).rows[0].count);
    const before = await count();
    const results = await Promise.allSettled([tenants.create(wanted("same"), PLATFORM), tenants.create(wanted("same"), PLATFORM)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "CONFLICT" } });
    expect(await count()).toBe(before + 1);
  });

  test("a risk is only raised", async () => {
    const { tenant } = await tenants.create(wanted("risky"), PLATFORM);
    expect(await tenants.setRisk(tenant.id, "standard", PLATFORM)).toMatchObject({ risk: "standard" });
    expect(await tenants.setRisk(tenant.id, "elevated", PLATFORM)).toMatchObject({ risk: "elevated" });
    await expect(tenants.setRisk(tenant.id, "standard", PLATFORM)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await tenants.get(tenant.id)).toMatchObject({ risk: "elevated" });
    await expect(tenants.get("01900000-0000-7000-8000-00000000dead")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("the first one comes with the operator's token, once, however often it is asked for and whoever else asks", async () => {
    const first = (slug: string) => ({ slug, tokenName: "first", secret: createToken().secret, operatorSecret: createToken().secret });
    const mine = first("mine");
    const results = await Promise.allSettled([mine, mine, first("theirs"), first("mine")].map((each) => tenants.createFirst(each)));
    const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.slug] : []));
    expect([["mine", "mine"], ["theirs"], ["mine"]]).toContainEqual(made);
    for (const result of results) if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "CONFLICT" });
    const { rows } = await database.admin.query("SELECT hash FROM operator_token");
    expect(rows).toHaveLength(1);
    await expect(tenants.createFirst(first("later"))).rejects.toMatchObject({ code: "CONFLICT" });
    await expect(tenants.createFirst({ ...first("x"), secret: "short" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    const count = await database.admin.query("SELECT FROM tenant WHERE slug IN ('theirs', 'later', 'x', 'mine')");
    expect(count.rowCount).toBe(1);
  });
});
