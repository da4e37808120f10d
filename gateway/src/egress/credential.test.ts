// The egress proxy of a cluster: a client with a good credential may reach what the credential allows, and every other client is refused.
import { connect, type AddressInfo, type Server } from "node:net";
import { EGRESS_CREDENTIAL, egressKey } from "@fnctl/control-plane/contract/egress-credential";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { createEgressCredentialReader } from "@fnctl/control-plane/service/egress-credential";
import { SignJWT, UnsecuredJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createAddressPolicy } from "./address-policy.ts";
import { Pace } from "@fnctl/control-plane/service/pace";
import { cidrSchema } from "@fnctl/control-plane/contract/cidr";
import { createCredentialServer } from "./credential-listener.ts";
import { createReadCredential } from "./credential.ts";
import { Meter } from "./meter.ts";
import { TunnelCount } from "./tunnel-count.ts";
import { createCallFunction } from "./call-function.ts";
import { createDial, type MayDial } from "./dial.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { openPolicies } from "./policies.ts";
import type { ConnectionRecord } from "./source.ts";
import { rules, tcpServer } from "../testing/egress.ts";

const SECRET = "s".repeat(64);
const ID = "0123456789abcdef0123";
let renewed: number;
let proxy: { server: Server; end(outcome: string): void };
let records: ConnectionRecord[];
let target: number;

beforeEach(async () => {
  const own: ConnectionRecord[] = [];
  renewed = 0;
  records = own; // a tunnel of the previous test may still end and write its record
  target = (await tcpServer((socket) => socket.end("hello from the target"))).port;
  const forBuilds = createAddressPolicy([cidrSchema.parse("127.0.0.1/32")]);
  const mayDial: MayDial = (_settings, address) => forBuilds(address);
  proxy = createCredentialServer({
    dial: createDial({
      mayDial,
      callFunction: createCallFunction(undefined, SECRET),
      resolve: async () => ["127.0.0.1"],
      upstreamProxy: undefined,
    }),
    mayDial,
    policies: openPolicies({ control: undefined, file: undefined, changed: () => undefined, warn: () => undefined }),
    pace: new Pace(EGRESS_LIMITS.questions),
    pieces: new Pace(EGRESS_LIMITS.pieces),
    count: new TunnelCount(),
    answerRecords: async () => [],
    meter: new Meter(),
    readCredential: createReadCredential(createEgressCredentialReader(SECRET)),
    renew: async () => `new-${(renewed += 1)}`,
    log: (record) => void own.push(record),
  });
  await new Promise<void>((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  proxy.end("test");
  proxy.server.close();
});

test("a connection that is reset while its credential is looked at ends nothing else", async () => {
  const { port } = proxy.server.address() as AddressInfo;
  // Well formed and of another key: its signature is looked at, which takes a moment.
  const shown = await credential({ key: egressKey("x".repeat(64)) });
  for (let i = 0; i < 20; i += 1) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(`CONNECT good.example:443 HTTP/1.1\r\nhost: good.example:443\r\nproxy-authorization: ${shown}\r\n\r\n`, () =>
      socket.resetAndDestroy(),
    );
    await new Promise((resolve) => socket.once("close", resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 200)); // an error that nobody handles would fail this run
});

interface Change {
  key?: Uint8Array;
  user?: string;
  audience?: string;
  issuer?: string;
  type?: string;
  life?: string;
  at?: number;
  source?: EgressSource;
}
async function credential(change: Change = {}): Promise<string> {
  const token = await new SignJWT({ source: change.source ?? rules([target]) })
    .setProtectedHeader({ alg: "HS256", typ: change.type ?? EGRESS_CREDENTIAL.type })
    .setSubject(ID)
    .setIssuer(change.issuer ?? EGRESS_CREDENTIAL.issuer)
    .setAudience(change.audience ?? EGRESS_CREDENTIAL.audience)
    .setIssuedAt(change.at)
    .setExpirationTime(change.life ?? "5m")
    .sign(change.key ?? egressKey(SECRET));
  return basic(token, change.user);
}
const basic = (token: string, user = ID) => `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`;

/** Sends a CONNECT and resolves with all bytes that come back. */
const ask = (authorization: string | undefined, host = "good.example"): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect((proxy.server.address() as AddressInfo).port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("close", () => resolve(text)).on("error", () => undefined);
    const shown = authorization === undefined ? "" : `proxy-authorization: ${authorization}\r\n`;
    socket.write(`CONNECT ${host}:${target} HTTP/1.1\r\nhost: ${host}:${target}\r\n${shown}\r\n`);
    socket.write("x"); // the client speaks first in the tunnel
  });

test("a good credential opens what it names, and the log names tenant and instance", async () => {
  expect(await ask(await credential())).toMatch(/^HTTP\/1\.1 200 [^]*hello from the target$/);
  await expect.poll(() => records).toMatchObject([{ instance: ID, tenant: rules([1]).tenantId, outcome: "closed" }]);
});

test("whoever is refused at once is refused later and later, and a good credential is not", async () => {
  const { burst, perSecond } = EGRESS_LIMITS.unknown;
  await Promise.all(Array.from({ length: burst + perSecond }, () => ask(undefined)));
  let refused = false;
  const late = ask(undefined).then(() => (refused = true));
  expect(await ask(await credential())).toMatch(/^HTTP\/1\.1 200 /);
  expect(refused).toBe(false);
  await late;
});

test("it opens nothing else", async () => {
  expect(await ask(await credential(), "other.example")).toMatch(/^HTTP\/1\.1 403 [^]*other\.example/);
});

test.each<[string, () => Promise<string | undefined>]>([
  ["none", async () => undefined],
  ["another scheme", async () => (await credential()).replace("Basic", "Bearer")],
  ["another instance's name before the token", () => credential({ user: "another" })],
  ["another key", () => credential({ key: egressKey("t".repeat(64)) })],
  ["the platform's secret itself as the key", () => credential({ key: new TextEncoder().encode(SECRET) })],
  ["another audience", () => credential({ audience: "somebody" })],
  ["another issuer", () => credential({ issuer: "somebody" })],
  ["another type of token", () => credential({ type: "JWT" })],
  ["one that has expired", () => credential({ life: "-1s" })],
  [
    "one that is older than any may be",
    () => credential({ at: Math.floor(Date.now() / 1000) - EGRESS_CREDENTIAL.maxAgeS - 60, life: "9h" }),
  ],
  [
    "no signature",
    async () => basic(new UnsecuredJWT({ sub: ID, source: rules([target]) }).setIssuedAt().setExpirationTime("5m").encode()),
  ],
  ["no base64", async () => "Basic %%%"],
])("%s: 407, and no connection is made", async (_what, make) => {
  expect(await ask(await make())).toMatch(/^HTTP\/1\.1 407 [^]*proxy-authenticate: Basic/);
  expect(records).toEqual([]);
});

/** Opens a connection that says this and stays, for as long as it is let. */
function stay(says: string): { closed: () => boolean; text: () => string } {
  const socket = connect({ port: (proxy.server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  let closed = false;
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => undefined).on("close", () => (closed = true));
  // It never ends its side: what is not cut stays open.
  socket.on("end", () => setTimeout(() => socket.write("x"), 1_500).unref());
  socket.write(says);
  return { closed: () => closed, text: () => text };
}
const openConnections = (): Promise<number> => new Promise((resolve) => proxy.server.getConnections((_error, count) => resolve(count)));

test.each([
  ["a tunnel", "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n"],
  ["a body that never comes", "POST http://a.example/ HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9\r\n\r\n"],
  ["an answer to a question", "GET /names/a.example HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"],
])("whoever is not known does not stay for %s", async (_what, says) => {
  const client = stay(says);
  await expect.poll(client.text).toMatch(/^HTTP\/1\.1 40[17]/);
  await expect.poll(openConnections, { timeout: EGRESS_LIMITS.refusalMs + 1_500 }).toBe(0);
});

test("a sandbox has a number of connections, whatever it asks for on them", async () => {
  const source = rules([target], { maxConnections: 2 });
  const shown = await credential({ source });
  const most = source.maxConnections + EGRESS_LIMITS.questionsAtOnce;
  // A body that does not come keeps a plain request, and its connection, open behind its server's answer.
  const says = `POST http://good.example:${target}/ HTTP/1.1\r\nhost: good.example:${target}\r\ncontent-length: 9\r\nproxy-authorization: ${shown}\r\n\r\n`;
  const clients = Array.from({ length: most + 20 }, () => stay(says));
  await expect.poll(() => clients.filter(({ text }) => text().includes("connections to the proxy at once")).length).toBe(20);
});

test("a sandbox does not make the control plane sign as fast as it asks", async () => {
  const shown = (await credential()).replace("Basic ", "");
  const token = Buffer.from(shown, "base64").toString().split(":")[1];
  const clients = Array.from({ length: 40 }, () =>
    stay(`GET /credential HTTP/1.1\r\nhost: a\r\nproxy-authorization: Bearer ${token}\r\n\r\n`),
  );
  await expect.poll(() => clients.filter(({ text }) => text() !== "").length).toBe(40);
  expect(renewed).toBe(EGRESS_LIMITS.renewals.burst);
});
