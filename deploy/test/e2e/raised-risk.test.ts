// An operator raises a tenant to elevated risk while its function serves from gVisor. There is no Kata on one machine, so functions that
// now need more isolation are refused, and no request is served from gVisor any more (SECURITY A2).
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api, call, deploy } from "./api.ts";
import { createTenant, operatorToken, type Tenant } from "./tenants.ts";
import { until } from "./until.ts";

const SLOW = `
export default { fetch() {
  let left = 10;
  return new Response(new ReadableStream({
    async pull(controller) {
      controller.enqueue("tick ");
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (--left === 0) controller.close();
    },
  }).pipeThrough(new TextEncoderStream()));
} };`;
let tenant: Tenant;
const raise = (id: string, risk: string, token = operatorToken()) => api("PATCH", `/v1/tenants/${id}`, { body: { risk }, token });
const ask = (name: string) => call(name, "/", { headers: { authorization: `Bearer ${tenant.token}` } }, tenant.slug);
const codeOf = async (answer: Response) => ((await answer.json()) as { code: string }).code;
const instances = async () => {
  const answer = await api("GET", "/v1/functions/slow", { token: tenant.token });
  return ((await answer.json()) as { instances: unknown[] }).instances.length;
};

beforeAll(async () => {
  tenant = await createTenant("suspect");
  for (const [name, config] of [
    ["slow", {}],
    ["content", { isolation: "gvisor" }], // the version asked for gVisor while that was allowed
  ] as const)
    if ((await deploy(name, { "index.js": SLOW }, config, tenant.token)).state !== "succeeded") throw new Error(name);
});
afterAll(async () => {
  for (const name of ["slow", "content"]) await api("DELETE", `/v1/functions/${name}`, { token: tenant.token });
});

describe("raising a tenant's risk", () => {
  test("is the operator's to do, for tenants that there are, to risks that there are", async () => {
    expect((await raise(tenant.id, "elevated", tenant.token)).status).toBe(403);
    expect((await raise("01900000-0000-7000-8000-00000000dead", "elevated")).status).toBe(404);
    expect((await raise(tenant.id, "none")).status).toBe(400);
    expect((await raise(tenant.id, "standard")).status).toBe(200); // setting the risk it has already is accepted
  });

  test("lets requests that run end, and serves no other from gVisor, whatever the function asked for", async () => {
    expect((await ask("content")).status).toBe(200);
    const running = await ask("slow"); // the head of the answer is here, the body takes two seconds
    expect(running.status).toBe(200);
    const raised = await raise(tenant.id, "elevated");
    expect([raised.status, await raised.json()]).toMatchObject([200, { id: tenant.id, risk: "elevated" }]);
    for (const name of ["slow", "content"]) {
      const next = await ask(name);
      expect([next.status, await codeOf(next)]).toEqual([503, "ISOLATION_UNAVAILABLE"]);
    }
    expect(await running.text()).toBe("tick ".repeat(10));
    await until(instances, (count) => count === 0);
  });

  test("holds for what is deployed later, and is not taken back", async () => {
    const later = await deploy("later", { "index.js": SLOW }, {}, tenant.token);
    expect([later.state, later.problem?.code]).toEqual(["failed", "ISOLATION_UNAVAILABLE"]);
    const lowered = await raise(tenant.id, "standard");
    expect([lowered.status, await codeOf(lowered)]).toEqual([409, "CONFLICT"]);
  });

  test("touches no other tenant", async () => {
    expect((await deploy("neighbour-of-suspect", { "index.js": "export default () => new Response('fine');" })).state).toBe("succeeded");
    expect(await (await call("neighbour-of-suspect")).text()).toBe("fine");
    await api("DELETE", "/v1/functions/neighbour-of-suspect");
  });
});
