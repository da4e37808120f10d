// SECURITY H2: two tenants' functions leave markers everywhere a sandbox can hold one; no function ever sees another tenant's marker, and a
// new version sees none of the old version's.
import { beforeAll, describe, expect, test } from "vitest";
import { api, call } from "./api.ts";
import { deployFixture } from "./fixture.ts";
import { instancesOf } from "./processes.ts";
import { createTenant, firstTenant, type Tenant } from "./tenants.ts";

type Found = Record<"globals" | "env" | "tmp" | "shm" | "timer" | "socket", string[]>;
const PLACES = ["globals", "env", "tmp", "shm", "timer", "socket"] as const;
const KINDS = ["marks-node", "marks-python"];
const ROUNDS = 50; // times two tenants and two runtimes: 200 invocations

let tenants: Tenant[];
beforeAll(async () => {
  tenants = [await firstTenant(), await createTenant("across")];
  for (const tenant of tenants) {
    await deployFixture("marks-node", "markers.js", { max: 2, concurrency: 3 }, tenant.token);
    await deployFixture("marks-python", "markers.py", { runtime: "python3.13", max: 2, concurrency: 3 }, tenant.token);
  }
});

async function visit(tenant: Tenant, name: string, marker?: string): Promise<Found> {
  const init = { headers: { authorization: `Bearer ${tenant.token}` } };
  const answer = await call(name, marker === undefined ? "/" : `/?marker=${marker}`, init, tenant.slug);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Found;
}

/** Markers that were seen and that this version of this tenant's function did not leave itself. */
const foreign = (found: Found, prefix: string): string[] =>
  PLACES.flatMap((place) => found[place].filter((marker) => !marker.startsWith(prefix)).map((marker) => `${place}: ${marker}`));

describe("markers", () => {
  test("of one tenant's function are never seen by another, in 200 mixed invocations", async () => {
    const seen: Found[] = [];
    const crossings: string[] = [];
    const lanes = tenants.flatMap((tenant) => KINDS.map((name) => ({ tenant, name, prefix: `${tenant.slug}-${name}-v1-` })));
    for (let round = 0; round < ROUNDS; round++) {
      // All are called at once, in another order in each round.
      const order = lanes.map((_, i) => lanes[(i + round) % lanes.length]!);
      await Promise.all(
        order.map(async ({ tenant, name, prefix }) => {
          const found = await visit(tenant, name, `${prefix}${round}`);
          seen.push(found);
          crossings.push(...foreign(found, prefix));
        }),
      );
    }
    expect(crossings).toEqual([]);
    expect(seen).toHaveLength(ROUNDS * 4);
    // The probe works: each place did hold the function's own markers.
    for (const place of PLACES) expect([place, seen.some((found) => found[place].length > 0)]).toEqual([place, true]);
  });

  test.each(KINDS)("of an old version are not seen by the new one (%s)", async (name) => {
    const [tenant] = tenants as [Tenant];
    const before = await instancesOf(name);
    const file = name === "marks-node" ? "markers.js" : "markers.py";
    await deployFixture(name, file, { max: 2, concurrency: 4, env: { RELEASE: "2" } }, tenant.token);
    for (let i = 0; i < 5; i++) {
      const prefix = `${tenant.slug}-${name}-v2-`;
      expect(foreign(await visit(tenant, name, `${prefix}${i}`), prefix)).toEqual([]);
    }
    for (const id of before) expect(await servingNow(name)).not.toContain(id);
  });
});

async function servingNow(name: string): Promise<string[]> {
  const detail = (await (await api("GET", `/v1/functions/${name}`)).json()) as {
    liveVersion: number;
    instances: { id: string; version: number }[];
  };
  return detail.instances.filter((instance) => instance.version === detail.liveVersion).map((instance) => instance.id);
}
