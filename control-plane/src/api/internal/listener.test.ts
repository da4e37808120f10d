// The internal listener's two secrets, for gateways and for log agents (SECURITY D8). Its answers to gateways are tested in the gateway's
// tests.
import { randomUUID } from "node:crypto";
import type { Server } from "node:http";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PlatformError } from "../../contract/errors.ts";
import { INTERNAL_PATHS } from "../../contract/internal.ts";
import { newInstanceId } from "../../service/uuid7.ts";
import { createInternalListener, type InternalDeps } from "./listener.ts";

const [GATEWAYS, AGENTS] = ["g".repeat(32), "a".repeat(32)];
let server: Server;
let url: string;
let asked: string[][];
let failed: unknown[];
async function open(agents: boolean): Promise<void> {
  const channels = async (instances: string[]) => {
    asked.push(instances);
    return [];
  };
  const deps = {
    secret: Buffer.from(GATEWAYS),
    agents: agents ? { secret: Buffer.from(AGENTS), channels } : undefined,
    leases: { acquire: () => Promise.reject(new PlatformError("INIT_FAILED", "inside", { facts: { stack: "inside" } })) },
    status: () => ({}),
    onError: (error: unknown) => void failed.push(error),
  };
  server = http.createServer(createInternalListener(deps as unknown as InternalDeps));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
beforeEach(() => {
  [asked, failed] = [[], []];
});
afterEach(() => server.close());

async function post(path: string, secret: string, body: unknown = {}): Promise<number> {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return (await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status;
}
const get = async (path: string, secret: string) =>
  (await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${secret}` } })).status;

test("a gateway, which tells it to anybody, is not told why code does not load", async () => {
  await open(false);
  const body = JSON.stringify({ holder: "gw-1", functionId: randomUUID(), versionId: randomUUID(), waitMs: 0 });
  const answer = await fetch(`${url}${INTERNAL_PATHS.leases}`, { method: "POST", headers: { authorization: `Bearer ${GATEWAYS}` }, body });
  expect(answer.status).toBe(502);
  const text = await answer.text();
  expect(text).not.toContain("inside");
  expect(JSON.parse(text)).toMatchObject({ code: "INIT_FAILED", detail: "The function could not be loaded." });
});

describe("agents of nodes", () => {
  test("ask whose instances are, with their own secret", async () => {
    await open(true);
    const instances = [newInstanceId()];
    expect(await post(INTERNAL_PATHS.logChannels, AGENTS, { instances })).toBe(200);
    expect(asked).toEqual([instances]);
    expect(await post(INTERNAL_PATHS.logChannels, GATEWAYS, { instances })).toBe(401);
  });

  test("do nothing else with it", async () => {
    await open(true);
    const others = Object.values(INTERNAL_PATHS).filter((path) => path !== INTERNAL_PATHS.logChannels);
    for (const path of [...others, "/internal/v1/status"]) {
      expect([path, await post(path, AGENTS)]).toEqual([path, 401]);
      expect([path, await get(path, AGENTS)]).toEqual([path, 401]);
    }
    expect(await get("/internal/v1/status", GATEWAYS)).toBe(200);
  });

  test("and nobody without a secret makes the platform err with what is no address", async () => {
    await open(true);
    const asking = http.request(url, { path: "//", method: "POST" });
    const status = await new Promise((resolve, reject) =>
      asking
        .on("response", (answer) => resolve(answer.resume().statusCode))
        .on("error", reject)
        .end(),
    );
    expect([status, failed]).toEqual([401, []]);
  });

  test("ask about so many at once, by what ids look like", async () => {
    await open(true);
    const ids = (count: number) => ({ instances: Array.from({ length: count }, () => "0".repeat(20)) });
    expect(await post(INTERNAL_PATHS.logChannels, AGENTS, ids(500))).toBe(200);
    expect(await post(INTERNAL_PATHS.logChannels, AGENTS, ids(501))).toBe(400);
    expect(await post(INTERNAL_PATHS.logChannels, AGENTS, { instances: ["../x"] })).toBe(400);
  });

  test("are not there on one machine: nobody has their secret", async () => {
    await open(false);
    expect(await post(INTERNAL_PATHS.logChannels, AGENTS, { instances: [] })).toBe(401);
    expect(await post(INTERNAL_PATHS.logChannels, GATEWAYS, { instances: [newInstanceId()] })).toBe(200);
  });
});
