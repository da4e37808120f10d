// Functions that call functions: who calls is told by the egress proxy, and by nobody else.
import { connect } from "node:net";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CALL_CREDENTIAL, callKey, type CallClaims } from "@fnctl/control-plane/contract/function-calls";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { makeRoute } from "../testing/control-double.ts";
import { Platform, SECRET } from "../testing/platform.ts";
import { createCallChains } from "./invoke/call-chain.ts";

let platform: Platform;
let hello: Route;
let shop: Route;
beforeEach(async () => {
  platform = await new Platform().start();
  const upstream = await platform.upstream((request, answer) => answer.end(JSON.stringify(request.headers)));
  hello = await platform.serve(upstream, { access: "private" });
  shop = makeRoute({ function: "shop", tenantId: hello.tenantId });
  await platform.publish(shop);
});
afterEach(() => platform.stop());

interface Credential {
  key?: string;
  audience?: string;
  type?: string;
  at?: number;
}
const claims = (more: Partial<CallClaims> = {}): CallClaims => ({
  tenantId: shop.tenantId,
  functionId: shop.functionId,
  called: "hello",
  ...more,
});
const signed = (what: object, { key = SECRET, audience = CALL_CREDENTIAL.audience, type = CALL_CREDENTIAL.type, at }: Credential = {}) =>
  new SignJWT({ ...what })
    .setProtectedHeader({ alg: "HS256", typ: type })
    .setIssuer(CALL_CREDENTIAL.issuer)
    .setAudience(audience)
    .setIssuedAt(at)
    .setExpirationTime((at ?? Math.floor(Date.now() / 1000)) + CALL_CREDENTIAL.maxAgeS)
    .sign(callKey(key));
const request = (fields: Record<string, string> = {}, host = "hello.fn.internal", path = "/x") =>
  `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}`;
const LAST = "connection: close\r\n\r\n";
/** All bytes that come back for these. */
function say(...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(platform.path("calls"));
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("close", () => resolve(text)).on("error", reject);
    for (const part of parts) socket.write(part);
  });
}
const seen = (text: string): Record<string, string> => JSON.parse(text.slice(text.indexOf("{"))) as Record<string, string>;

describe("a call by a function", () => {
  it("needs no token, and the callee sees who calls, whatever the caller writes", async () => {
    const text = await say(
      `${await signed(claims())}\n`,
      request({ "x-fnctl-caller": "evil", X_Fnctl_Caller: "evil", authorization: "its own" }) + LAST,
    );
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(seen(text)).toMatchObject({
      "x-fnctl-caller": "shop",
      authorization: "its own",
      host: "hello.fn.internal",
      "x-forwarded-for": "unknown",
    });
    expect(text).not.toContain("evil");
  });

  it("may come in the packet of its credential, byte by byte, and one after the other on a connection", async () => {
    const whole = `${await signed(claims())}\n${request()}\r\n${request()}${LAST}`;
    expect((await say(whole)).match(/HTTP\/1.1 200 /g)).toHaveLength(2);
    expect((await say(...whole.split(""))).match(/HTTP\/1.1 200 /g)).toHaveLength(2);
  });

  it("is for the function that its connection is for, and for no path of the platform's", async () => {
    const credential = `${await signed(claims())}\n`;
    for (const host of ["shop.fn.internal", "hello--acme.localhost", "localhost"])
      expect(await say(credential, request({}, host) + LAST)).toMatch(/^HTTP\/1.1 421 /);
    expect(await say(credential, request({}, "hello.fn.internal", "/.fnctl/v1/health") + LAST)).toMatch(/^HTTP\/1.1 404 /);
  });

  it("reaches no other tenant's function, and none for a caller that is gone", async () => {
    const other = makeRoute({ function: "secret", tenant: "other", tenantId: "00000000-0000-4000-8000-0000000000ff" });
    await platform.publish(other);
    const refused = async (what: Partial<CallClaims>, host: string) => say(`${await signed(claims(what))}\n`, request({}, host) + LAST);
    expect(await refused({ called: "secret" }, "secret.fn.internal")).toMatch(/^HTTP\/1.1 404 /);
    expect(await refused({ tenantId: other.tenantId }, "hello.fn.internal")).toMatch(/^HTTP\/1.1 404 /);
    expect(await refused({ functionId: "00000000-0000-4000-8000-0000000000fe" }, "hello.fn.internal")).toMatch(/^HTTP\/1.1 404 /);
  });

  it.each<[string, () => Promise<string>]>([
    ["without a credential", async () => request() + LAST],
    ["with another key's", async () => `${await signed(claims(), { key: "x".repeat(64) })}\n`],
    ["with another audience's", async () => `${await signed(claims(), { audience: "fnctl-egress" })}\n`],
    ["with another type's", async () => `${await signed(claims(), { type: "fnctl-egress+jwt" })}\n`],
    ["with an old one", async () => `${await signed(claims(), { at: Math.floor(Date.now() / 1000) - 120 })}\n`],
    ["with one that names nobody", async () => `${await signed({ called: "hello" })}\n`],
    ["with a line that does not end", async () => "x".repeat(10_000)],
  ])("%s is closed without an answer", async (_what, line) => {
    expect(await say(await line(), request() + LAST)).toBe("");
  });
});

it("calls of a tenant's functions that wait for the answer before them are of that tenant's share", async () => {
  await platform.stop();
  platform = await new Platform().start({}, undefined, { limits: { pipelinedPerAddress: 3 } });
  const upstream = await platform.upstream((_request, answer) => void setTimeout(() => answer.end("{}"), 100));
  await platform.serve(upstream, { functionId: hello.functionId, tenantId: hello.tenantId });
  await platform.publish(shop);
  const credential = `${await signed(claims())}\n`;
  const many = (count: number) => `${request()}\r\n`.repeat(count) + request() + LAST;
  expect((await say(credential, many(3))).match(/HTTP\/1.1 200 /g)).toHaveLength(4);
  expect(await say(credential, many(4))).toBe("");
});

describe("the chain of calls", () => {
  const chains = createCallChains(SECRET);
  const TENANT = "00000000-0000-4000-8000-000000000001";

  it("goes on where it is passed on, starts anew where it is not, and ends", async () => {
    const first = seen(await say(`${await signed(claims())}\n`, request() + LAST))["x-fnctl-chain"]!;
    expect(first).toMatch(/^shop>hello;/);
    const back = { functionId: hello.functionId, called: "shop" };
    const second = async (fields: Record<string, string>) =>
      seen(await say(`${await signed(claims(back))}\n`, request(fields, "shop.fn.internal") + LAST))["x-fnctl-chain"];
    expect(await second({ "x-fnctl-chain": first })).toMatch(/^shop>hello>shop;/);
    expect(await second({})).toMatch(/^hello>shop;/);
    let chain = first;
    for (let calls = 1; calls < LIMITS.callDepth; calls += 1) {
      const [caller, called] = calls % 2 === 1 ? (["hello", "shop"] as const) : (["shop", "hello"] as const);
      chain = chains.next(shop.tenantId, chain, caller, called);
    }
    const text = await say(`${await signed(claims())}\n`, request({ "x-fnctl-chain": chain }) + LAST);
    expect(text).toMatch(/^HTTP\/1.1 508 /);
    expect(text).toContain("shop > hello > shop");
  });

  it.each<[string, (good: string) => string]>([
    ["made up", () => "a>b>c;AAAAAAAAAAAAAAAAAAAAAA"],
    ["without its signature", (good) => good.split(";")[0]!],
    ["with another path", (good) => `x>${good}`],
    ["of another tenant's", () => chains.next("00000000-0000-4000-8000-000000000002", undefined, "a", "b")],
    ["that was another function's", () => chains.next(TENANT, undefined, "a", "z")],
    ["of any length", () => "a>".repeat(1_000)],
  ])("%s does not count", (_what, made) => {
    const good = chains.next(TENANT, undefined, "a", "b");
    expect(chains.next(TENANT, made(good), "b", "c").split(";")[0]).toBe("b>c");
    expect(chains.next(TENANT, good, "b", "c").split(";")[0]).toBe("a>b>c");
  });
});

it("a client's own fields of these names do not reach a function", async () => {
  const { body } = await platform.call("/", { headers: { "x-fnctl-caller": "shop", "x-fnctl-chain": "shop>hello;x" } });
  expect(body).not.toContain("shop");
});
