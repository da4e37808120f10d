// A tenant's own rules from the API to open connections: a real Postgres, its notices, the change stream over a socket, and the egress proxy.
import { once } from "node:events";
import { rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { createOwnRules } from "@fnctl/control-plane/egress/own-rules";
import { by } from "../src/build-platform.ts";
import { openFullServer } from "../src/full-server.ts";
import { openEgressPlane, type EgressPlane, type Owner } from "../src/egress-plane.ts";

let plane: EgressPlane;
/** A tenant for each test. */
let owner: Owner;
beforeAll(async () => {
  plane = await openEgressPlane();
  await plane.startPlane();
  await plane.startProxy();
});
afterAll(() => plane.close());
beforeEach(async () => {
  owner = await plane.owner();
});
afterEach(() => plane.hangUp());

const rule = (action: "allow" | "deny", text: string, name?: string) => plane.rule(owner, action, text, name);
const status = async (instance: string, host: string): Promise<number> => (await plane.tunnel(instance, host)).status;
const told = (text: string) => ({ status: 403, text: expect.stringContaining(text) as string });

describe("a tenant's own rules", () => {
  test("open the way for a sandbox that runs, and close it for open connections too, when the answer is there", async () => {
    const instance = await plane.sandbox(owner);
    expect(await status(instance, "a.example")).toBe(403);
    expect(await plane.names(instance, "a.example")).toMatchObject(told("fnctl egress allow a.example"));
    await rule("allow", `a.example:${plane.port}`);
    expect(await plane.names(instance, "a.example")).toEqual({ status: 200, text: `${plane.port}\n` });
    const opened = await plane.tunnel(instance, "a.example");
    expect([opened.status, opened.isClosed()]).toEqual([200, false]);
    await rule("deny", `a.example:${plane.port}`);
    await opened.closed;
    expect((await plane.tunnel(instance, "a.example")).text).toContain("denied by a rule of the tenant's own");
  });

  test("refuse what a version allows; without the refusal it is allowed again", async () => {
    const instance = await plane.sandbox(owner, "a.example", "b.example");
    const [first, other] = [await plane.tunnel(instance, "a.example"), await plane.tunnel(instance, "b.example")];
    await rule("deny", "a.example");
    await first.closed;
    expect(other.isClosed()).toBe(false);
    expect(await plane.names(instance, "a.example")).toMatchObject(told("denied"));
    await rule("deny", "*");
    await other.closed;
    const { items } = (await (await plane.call(owner.token, "GET", "/v1/egress/rules")).json()) as {
      items: { id: string; rule: string }[];
    };
    expect(items.map((item) => item.rule)).toEqual(["a.example", "*"]);
    await plane.call(owner.token, "DELETE", `/v1/egress/rules/${items[0]!.id}`);
    expect(await status(instance, "b.example")).toBe(403);
    await plane.call(owner.token, "DELETE", `/v1/egress/rules/${items[1]!.id}`);
    expect(await status(instance, "b.example")).toBe(200);
  });

  test("of one target are one: the newest", async () => {
    const instance = await plane.sandbox(owner);
    for (const action of ["deny", "allow", "deny", "allow"] as const) await rule(action, `a.example:${plane.port}`);
    expect(await status(instance, "a.example")).toBe(200);
    await rule("deny", "a.example"); // of every port
    expect(await status(instance, "a.example")).toBe(403);
    const { items } = (await (await plane.call(owner.token, "GET", "/v1/egress/rules")).json()) as { items: unknown[] };
    expect(items).toHaveLength(1);
    // Nobody opens what was refused on every port by a word about one.
    await expect(rule("allow", `a.example:${plane.port}`)).rejects.toThrow(/409 .*is denied on every port/);
    expect(await status(instance, "a.example")).toBe(403);
  });

  test("of one function are not another's, and never another tenant's", async () => {
    const own = await plane.sandbox(owner);
    const sibling = await plane.sandbox({ ...owner, functionId: "01900000-0000-7000-8000-00000000000f" });
    await rule("allow", `a.example:${plane.port}`, "hello");
    expect([await status(own, "a.example"), await status(sibling, "a.example")]).toEqual([200, 403]);
    expect(await status(await plane.sandbox(await plane.owner()), "a.example")).toBe(403);
  });

  test("stay while the control plane is away, and over a restart of the proxy meanwhile; later changes come when it is back", async () => {
    const instance = await plane.sandbox(owner, "b.example");
    await rule("allow", `a.example:${plane.port}`);
    await rule("deny", "b.example");
    await plane.stopPlane();
    expect([await status(instance, "a.example"), await status(instance, "b.example")]).toEqual([200, 403]);
    await plane.stopProxy();
    await plane.startProxy();
    expect([await status(instance, "a.example"), await status(instance, "b.example")]).toEqual([200, 403]);
    await plane.startPlane();
    await rule("deny", "a.example");
    await expect.poll(() => status(instance, "a.example"), { timeout: 10_000 }).toBe(403);
  });

  test("say in their answer whether the proxy holds them already", async () => {
    const applied = async (text: string) => ((await (await rule("allow", text)).json()) as { applied: boolean }).applied;
    expect(await applied("a.example")).toBe(true);
    await plane.stopProxy();
    expect(await applied("b.example")).toBe(false);
    await plane.startProxy();
    await expect.poll(() => applied("c.example"), { timeout: 10_000 }).toBe(true);
  });

  test("that are not known yet are waited for, and then the answer is that they are not known", async () => {
    const instance = await plane.sandbox(owner, "a.example");
    await plane.stopPlane();
    await plane.stopProxy();
    rmSync(plane.at("root/.policies"));
    await plane.startProxy();
    const [early, late] = [status(instance, "a.example"), await plane.names(instance, "a.example")];
    expect([await early, late.status]).toEqual([503, 503]);
    await plane.stopProxy(); // what it never knew it does not keep
    await plane.startProxy();
    expect(await status(instance, "a.example")).toBe(503);
    const waiting = status(instance, "a.example");
    await plane.startPlane();
    expect(await waiting).toBe(200);
  });
});

test("private addresses are open to whom the operator opened them, on those ports, as long as they are", async () => {
  const { port } = plane;
  const instance = await plane.sandbox(owner, "a.example");
  const opened = await plane.tunnel(instance, "a.example");
  expect(opened.status).toBe(200);
  await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [port + 1] }, { addresses: "10.0.0.0/8", ports: [port] });
  await opened.closed;
  expect((await plane.tunnel(instance, "a.example")).text).toContain("leads to an address that functions may not reach");
  await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [port] });
  expect(await status(instance, "a.example")).toBe(200);
  await plane.ceiling(owner);
  expect(await status(instance, "a.example")).toBe(403);
});

test("a private address is reached as it is by a rule and within the operator's ceiling, and a refusal of a range goes before both", async () => {
  const { port } = plane;
  const instance = await plane.sandbox(owner, "127.0.0.0/8", "a.example");
  const [byAddress, byName] = [await plane.tunnel(instance, "127.0.0.1"), await plane.tunnel(instance, "a.example")];
  expect([byAddress.status, byName.status]).toEqual([200, 200]);
  await rule("deny", `127.0.0.0/16:${port}`);
  await Promise.all([byAddress.closed, byName.closed]);
  expect((await plane.tunnel(instance, "127.0.0.1")).text).toContain("denied by a rule of the tenant's own");
  expect((await plane.tunnel(instance, "a.example")).text).toContain("leads to an address that functions may not reach");
  const own = await plane.owner();
  const other = await plane.sandbox(own);
  expect((await plane.tunnel(other, "127.0.0.1")).text).toContain(`fnctl egress allow 127.0.0.1:${port}`);
  await plane.rule(own, "allow", `127.0.0.1:${port}`);
  expect(await status(other, "127.0.0.1")).toBe(200);
  await plane.ceiling(own);
  expect((await plane.tunnel(other, "127.0.0.1")).text).toContain("is an address that functions may not reach");
  expect((await plane.names(other, "127.0.0.1")).status).toBe(403);
});

test("everything public is nothing private, whatever the operator opened; a rule that names it is", async () => {
  const everything = await plane.sandbox(owner, "*");
  expect((await plane.tunnel(everything, "a.example")).text).toContain("leads to an address that functions may not reach");
  expect((await plane.tunnel(everything, "127.0.0.1")).text).toContain("is an address that functions may not reach");
  await rule("allow", `a.example:${plane.port}`);
  const opened = await plane.tunnel(everything, "a.example");
  expect(opened.status).toBe(200);
  const { items } = (await (await plane.call(owner.token, "GET", "/v1/egress/rules")).json()) as { items: { id: string }[] };
  await plane.call(owner.token, "DELETE", `/v1/egress/rules/${items[0]!.id}`);
  await opened.closed;
});

test("an address that is closed while it is dialled is not reached", async () => {
  const server = await openFullServer();
  try {
    await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [server.port] });
    await rule("allow", `slow.example:${server.port}`);
    const dialling = plane.tunnel(await plane.sandbox(owner), "slow.example", server.port);
    await new Promise((resolve) => setTimeout(resolve, 300)); // it has been looked at, and hangs
    await plane.ceiling(owner);
    server.accept();
    const { status: answered, text } = await dialling;
    expect([answered, text.includes("inside")]).toEqual([403, false]);
  } finally {
    server.close();
  }
});

test("a connection that is denied while it is dialled is answered so, at once", async () => {
  const server = await openFullServer();
  try {
    await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [server.port] });
    await rule("allow", `slow.example:${server.port}`);
    const dialling = plane.tunnel(await plane.sandbox(owner), "slow.example", server.port);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await rule("deny", "slow.example");
    const { status: answered, text } = await dialling;
    expect([answered, text.includes("denied by a rule")]).toEqual([403, true]);
  } finally {
    server.close();
  }
});

test("a plain request is under the same rules, and is cut by a change of them", async () => {
  const server = http.createServer((request, response) => void (request.url === "/open" ? response.write("open") : response.end("whole")));
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    await plane.ceiling(owner, { addresses: "127.0.0.1", ports: [port] });
    const instance = await plane.sandbox(owner);
    const ask = async (path: string) => {
      const target = `http://a.example:${port}${path}`;
      const options = { socketPath: plane.at(`root/${instance}/s`), path: target, headers: { host: `a.example:${port}` }, agent: false };
      const [answer] = (await once(http.get(options as http.RequestOptions), "response")) as [http.IncomingMessage];
      return answer;
    };
    expect((await ask("/")).statusCode).toBe(403);
    await rule("allow", `a.example:${port}`);
    expect((await ask("/")).statusCode).toBe(200);
    const open = await ask("/open");
    expect(open.statusCode).toBe(200);
    // It may be cut before the answer to the rule is here.
    const [cut] = await Promise.all([once(open.resume(), "end").catch(String), rule("deny", "a.example")]);
    expect(cut).toMatch(/aborted/);
    expect((await ask("/")).statusCode).toBe(403);
  } finally {
    server.close().closeAllConnections();
  }
});
test("rules of a tenant's own, and ranges of a ceiling, are as many as the limits allow", async () => {
  const ranges = (count: number) => Array.from({ length: count }, (_, i) => ({ addresses: `10.0.0.${i}`, ports: [1] }));
  await plane.ceiling(owner, ...ranges(LIMITS.egressPrivate));
  await expect(plane.ceiling(owner, ...ranges(LIMITS.egressPrivate + 1))).rejects.toThrow(/400/);
  const post = (i: number) => ({ action: "allow", rule: `n${i}.example`, function: null });
  const rules = createOwnRules(plane.api.platform.db);
  for (let i = 0; i < LIMITS.egressOwnRules - 1; i += 1)
    await rules.set(by(owner.id), { action: "allow", host: `n${i}.example`, ports: [443], function: null });
  const last = LIMITS.egressOwnRules;
  await plane.call(owner.token, "POST", "/v1/egress/rules", post(last));
  await expect(plane.call(owner.token, "POST", "/v1/egress/rules", post(last + 1))).rejects.toThrow(/429 .*QUOTA_EXCEEDED/);
  await rule("deny", `n${last}.example`); // takes the place of one
});
