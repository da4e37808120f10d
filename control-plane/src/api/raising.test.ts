// What the API answers an operator who raises a tenant's risk (SECURITY A2): the real routes over a stand-in for the database.
import { expect, test } from "vitest";
import { PlatformError } from "../contract/errors.ts";
import { createTenantStore } from "../accounts/tenant-store.ts";
import { createToken } from "../accounts/token.ts";
import type { SystemDatabase } from "../db/system-database.ts";
import { createApi, type ApiDeps } from "./app.ts";

const ID = "01900000-0000-7000-8000-000000000001";

function api() {
  const account = { id: ID, slug: "acme", risk: "standard" as "standard" | "elevated", createdAt: new Date(0) };
  const asked: string[] = [];
  let unjudged = true;
  const system = {
    tokenByHash: async () => ({ tokenId: ID, name: "root", prefix: "", scopes: ["operator"], createdAt: new Date(0), tenantId: null }),
    tenantById: async () => account,
    raiseTenant: async () => Object.assign(account, { risk: "elevated" }),
  };
  const app = createApi({
    system,
    tenants: createTenantStore(system as unknown as SystemDatabase),
    async raised(tenantId: string) {
      asked.push(tenantId);
      if (unjudged) throw new PlatformError("UNAVAILABLE", "Not every instance could be looked at.");
    },
    published: async () => ({ egress: true }),
    onError: () => undefined,
  } as unknown as ApiDeps);
  const headers = { authorization: `Bearer ${createToken().secret}`, "content-type": "application/json" };
  const patch = async (risk: string) => {
    const answer = await app.request(`/v1/tenants/${ID}`, { method: "PATCH", headers, body: JSON.stringify({ risk }) });
    return [answer.status, ((await answer.json()) as { code?: string }).code];
  };
  return { patch, asked, judge: () => void (unjudged = false) };
}

test("a raise is not confirmed before every instance was looked at, and asking again finds out", async () => {
  const { patch, asked, judge } = api();
  expect(await patch("elevated")).toEqual([503, "UNAVAILABLE"]);
  expect(await patch("elevated")).toEqual([503, "UNAVAILABLE"]); // the tenant is raised by now, but its instances are still not checked
  judge();
  expect(await patch("elevated")).toEqual([200, undefined]);
  expect(asked).toEqual([ID, ID, ID]);
});

test("what raises nobody asks for no look", async () => {
  const { patch, asked } = api();
  expect(await patch("standard")).toEqual([200, undefined]);
  expect(asked).toEqual([]);
});
