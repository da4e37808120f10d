// Functions and versions on a real Postgres: what two requests at once may not do, and what another tenant sees.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_CAPS } from "../contract/tenant-caps.ts";
import { createPool } from "../db/pools.ts";
import { createTenantDatabase } from "../db/tenant-database.ts";
import { by } from "../../../deploy/test/src/build-platform.ts";
import { A, B, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";
import { createFunctionStore } from "./function-store.ts";

let database: Awaited<ReturnType<typeof openTwoTenants>>;
let pool: pg.Pool;
let functions: ReturnType<typeof createFunctionStore>;
const SAME = "same-name";

beforeAll(async () => {
  database = await openTwoTenants();
  pool = createPool(database.postgres.url("app"), () => undefined, 8);
  functions = createFunctionStore(createTenantDatabase(pool), DEFAULT_CAPS);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

describe("a function", () => {
  test("is its tenant's own, also where another has one of the same name", async () => {
    expect((await functions.get(A, SAME)).row.id).toBe(A);
    expect((await functions.get(B, SAME)).row.id).toBe(B);
    expect((await functions.list(A, undefined, 10)).map(({ row }) => row.tenantId)).toEqual([A]);
    await expect(functions.get(A, "other")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("keeps its last failure only, cut, without what Postgres cannot store, and none once it is gone", async () => {
    const failure = (detail: string) => functions.keepFailure(A, A, { reason: "exited", detail, version: 1 });
    await failure("first");
    await failure(`se\u0000cond${"x".repeat(10_000)}`);
    const kept = await functions.lastFailure(A, A);
    expect(kept).toMatchObject({ reason: "exited", version: 1 });
    expect(kept?.detail).toHaveLength(4_000);
    expect(kept?.detail).not.toContain("\u0000");
    expect(await functions.lastFailure(B, A)).toBeUndefined();
    await functions.keepFailure(A, B, { reason: "exited", detail: "another tenant's", version: 1 });
    expect(await functions.lastFailure(B, B)).toBeUndefined();
    await functions.remove(by(A), SAME);
    await failure("after its end");
    expect(await functions.lastFailure(A, A)).toBeUndefined();
    expect(await functions.ids(A)).toEqual(new Set());
    expect(await functions.ids(B)).toEqual(new Set([B]));
  });

  test("is removed once", async () => {
    const results = await Promise.allSettled([functions.remove(by(B), SAME), functions.remove(by(B), SAME)]);
    expect(results.filter(({ status }) => status === "fulfilled").length).toBeGreaterThanOrEqual(1);
    await expect(functions.remove(by(B), SAME)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});
