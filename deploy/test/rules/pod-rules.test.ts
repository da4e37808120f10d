// What a pod's way out goes by: its credential, which counts from its own address, and the rules of its version, which come by the change stream from
// a real Postgres; the proxy as in a cluster, and a server behind it.
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { by } from "../src/build-platform.ts";
import { EGRESS_LIMITS } from "../../../gateway/src/egress/limits.ts";
import { openEgressPlane, type EgressPlane } from "../src/egress-plane.ts";

let plane: EgressPlane;
let owner: Awaited<ReturnType<EgressPlane["owner"]>>;
beforeAll(async () => {
  plane = await openEgressPlane({ pods: true });
  await plane.startPlane();
  await plane.startProxy();
  owner = await plane.owner();
});
afterAll(() => plane.close());

/** Says `text` to the proxy from an address of loopback; resolves with what it says back first, or with how the connection ended. */
function say(text: string, from = "127.0.0.1", door = plane.door): Promise<string> {
  const [host, port] = door.split(":");
  return new Promise((resolve) => {
    const socket = connect({ host: host!, port: Number(port), localAddress: from }, () => socket.write(text));
    socket.on("data", (chunk: Buffer) => resolve(chunk.toString("latin1")) ?? socket.destroy());
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "")).on("close", () => resolve("closed"));
  });
}
const who = (credential: string) => `proxy-authorization: Bearer ${credential}\r\n`;
const tunnel = (credential: string, host: string, from?: string) =>
  say(`CONNECT ${host}:${plane.port} HTTP/1.1\r\nhost: ${host}:${plane.port}\r\n${who(credential)}\r\n`, from);
const names = (credential: string, host: string, from?: string) => say(`GET /names/${host} HTTP/1.0\r\n${who(credential)}\r\n`, from);
const renew = (credential: string) => say(`GET /credential HTTP/1.0\r\n${who(credential)}\r\n`);

let count = 0;
/** A version of the tenant's with these rules, built or only made. */
async function version(allow: string[], built = true) {
  const made = await plane.api.platform.deploy(owner.id, "hello", "request", "hello", { egress: { allow } });
  const build = () => plane.api.platform.run(made.job);
  if (built) await build();
  return { ...made.version, build };
}
/** A pod's credential. `hasRules`: its version has rules of its own. */
async function pod(versionId: string, { hasRules = true, functionId = owner.functionId, tenantId = owner.id, address = "127.0.0.1" } = {}) {
  const instance = `pod-${(count += 1)}`;
  plane.running.set(instance, versionId);
  return plane.credentials.forFunction(instance, { tenantId, functionId, versionId, version: 1, label: "hello:1", address, hasRules });
}
const here = () => `a.example:${plane.port}`;

describe("a pod", () => {
  test("reaches what its version allows, and nothing else", async () => {
    const credential = await pod((await version([here()])).id);
    expect(await tunnel(credential, "a.example")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await names(credential, "a.example")).toMatch(new RegExp(`^HTTP/1.1 200 [^]*\\n${plane.port}\\n$`));
    expect(await tunnel(credential, "b.example")).toMatch(/^HTTP\/1\.1 403 [^]*fnctl egress allow b\.example/);
    expect(await names(credential, "b.example")).toMatch(/^HTTP\/1\.1 403 /);
  });

  test("without rules of its own reaches what its tenant allows, and an open tunnel ends when it does not any more", async () => {
    const credential = await pod((await version([])).id, { hasRules: false });
    expect(await tunnel(credential, "c.example")).toMatch(/^HTTP\/1\.1 403 /);
    await plane.rule(owner, "allow", `c.example:${plane.port}`);
    const open = await keep(`CONNECT c.example:${plane.port} HTTP/1.1\r\nhost: c.example:${plane.port}\r\n${who(credential)}\r\n`);
    await plane.rule(owner, "deny", "c.example");
    await expect.poll(() => open.destroyed).toBe(true);
  });

  test("waits a little for rules that are not known yet", async () => {
    const { id, build } = await version([here()], false);
    const credential = await pod(id);
    const first = tunnel(credential, "a.example");
    await sleep(300);
    await build();
    expect(await first).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("whose version nobody tells is told so, and asked again it is another question", async () => {
    const credential = await pod("01900000-0000-7000-8000-0000000000aa");
    expect(await tunnel(credential, "a.example")).toMatch(/^HTTP\/1\.1 503 [^]*not known yet/);
  });

  test("of a version that is not live any more is not told to a proxy that begins; live again, it is", async () => {
    const [old, live] = [await version([here()]), await version([here()])];
    await plane.stopProxy();
    await plane.stopPlane();
    await plane.startPlane();
    await plane.startProxy();
    expect(await tunnel(await pod(live.id), "a.example")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await tunnel(await pod(old.id), "a.example")).toMatch(/^HTTP\/1\.1 503 /);
    await plane.api.platform.functions.setLive(by(owner.id), "hello", old.number);
    expect(await tunnel(await pod(old.id), "a.example")).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("does not get the rules of another tenant's version", async () => {
    const { id } = await version([here()]);
    const other = await plane.owner();
    expect(await tunnel(await pod(id, { tenantId: other.id }), "a.example")).toMatch(/^HTTP\/1\.1 503 /);
  });
});

describe("a credential", () => {
  test("counts from the address that it names, for whatever is asked, and from no other", async () => {
    const credential = await pod((await version([here()])).id, { address: "127.0.0.9" });
    expect(await tunnel(credential, "a.example", "127.0.0.9")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await tunnel(credential, "a.example")).toMatch(/^HTTP\/1\.1 407 /);
    expect(await names(credential, "a.example")).toMatch(/^HTTP\/1\.1 401 /);
    expect(await renew(credential)).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("is renewed for an instance that runs, also from the renewed one, and not after its end", async () => {
    const { id } = await version([here()]);
    const credential = await pod(id);
    const renewed = /\n([\w.-]+)\n$/.exec(await renew(credential))?.[1] ?? "";
    expect(await tunnel(renewed, "a.example")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await renew(renewed)).toMatch(/^HTTP\/1\.1 200 /);
    plane.running.clear();
    expect(await renew(renewed)).toMatch(/^HTTP\/1\.1 403 /);
    expect(await renew("nonsense")).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("is renewed a few times at once, and no more", async () => {
    const credential = await pod((await version([here()])).id);
    const answers: string[] = [];
    for (let i = 0; i <= EGRESS_LIMITS.renewals.burst; i++) answers.push((await renew(credential)).slice(9, 12));
    expect(answers).toEqual([...Array.from({ length: EGRESS_LIMITS.renewals.burst }, () => "200"), "429"]);
  });

  test("of a builder is not renewed", async () => {
    const limits = { maxBytes: 1e9, maxConnections: 9 };
    const source = { tenantId: owner.id, functionId: null, version: 0, label: "b", kind: "build" as const, allow: [], ...limits };
    expect(await renew(await plane.credentials.forBuilder("builder-1", source))).toMatch(/^HTTP\/1\.1 403 /);
  });
});

/** A tunnel that stays open. */
function keep(text: string): Promise<Socket> {
  const [host, port] = plane.door.split(":");
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => socket.write(text));
    socket.once("data", () => resolve(socket)).on("error", () => undefined);
  });
}
