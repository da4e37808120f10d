// A node disappears while its log is followed, without closing the connection: a real agent behind a wire that can be cut without either
// side noticing.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener, Server } from "node:http";
import { connect, createServer, type AddressInfo, type Server as Wire, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { logQuerySchema } from "../../contract/logs.ts";
import { listenInternal } from "../../service/http/listen.ts";
import { createInstanceCertificate } from "../../sandbox/kubernetes/certificate.ts";
import { AGENT } from "../kubelet/limits.ts";
import { createAgentListener } from "../kubelet/listener.ts";
import { createCollectorListener } from "../keep/server.ts";
import { createSegments, type Segments } from "../keep/segments.ts";
import { createAgentsClient } from "./log-agents-client.ts";
import { records } from "./read.ts";
import { SILENT_MS } from "./silence.ts";

const NAME = "fnctl-log-agent";
const SECRET = "s".repeat(32);
const owner = { tenantId: randomUUID(), functionId: randomUUID() };
const soon = { timeout: 15_000, interval: 50 };
const KEEP_ALIVE_MS = 50;
const times = { silentMs: 500, awayMs: 1_500 };

let folder: string;
let segments: Segments;
let ca: string;
let identity: { cert: string; key: string };
let files: { certificate: string; key: string };
let agent: Server;
let wire: Wire;
let sockets: Socket[];
let isCut: boolean;
let isListed: boolean;
let end: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fn-silence-"));
  const own = await createInstanceCertificate(NAME, 3_600_000);
  ca = own.certificate;
  identity = { cert: own.certificate, key: own.key };
  files = { certificate: path.join(folder, "crt"), key: path.join(folder, "key") };
  await Promise.all([writeFile(files.certificate, own.certificate), writeFile(files.key, own.key)]);
  segments = createSegments(path.join(folder, "logs"), () => undefined);
  [sockets, isCut, isListed, end] = [[], false, true, new AbortController()];
});
afterEach(async () => {
  end.abort();
  for (const socket of sockets) socket.destroy();
  wire.close();
  agent.closeAllConnections();
  agent.close();
  await segments.settle();
  await rm(folder, { recursive: true, force: true });
});

async function start(listener: RequestListener): Promise<void> {
  agent = await listenInternal(listener, { kind: "tcp", host: "127.0.0.1", port: 0 }, { mode: 0 }, files);
  const { port } = agent.address() as AddressInfo;
  wire = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on("error", () => undefined).on("data", (chunk) => void (isCut || to.write(chunk)));
      from.on("close", () => void (isCut || to.destroy()));
    }
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => wire.once("listening", resolve));
}
async function follow(awayMs = times.awayMs): Promise<string[]> {
  const place = { node: "one", host: "127.0.0.1", port: (wire.address() as AddressInfo).port };
  const client = createAgentsClient({
    find: async () => (isListed ? [place] : []),
    nodeOf: async () => undefined,
    ca,
    serverName: NAME,
    identity,
    secret: SECRET,
    times: { ...times, awayMs },
    onError: () => undefined,
  });
  const body = await client.read(owner.tenantId, owner.functionId, logQuerySchema.parse({ follow: "true" }), end.signal);
  const seen: string[] = [];
  void (async () => {
    for await (const { message } of records(body)) seen.push(message);
  })().catch(() => undefined);
  return seen;
}
const say = (message: string) => segments.append(owner, { level: "info", source: "stdout", version: 1, instance: "i", message });
const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ABSENT = expect.stringContaining("the log agent of node one does not answer");
const speaking = () => createAgentListener(segments, SECRET, KEEP_ALIVE_MS);

test("it is named once, also when nobody lists it any more", async () => {
  await start(speaking());
  say("first");
  const seen = await follow();
  await expect.poll(() => seen, soon).toEqual(["first"]);
  isCut = true;
  isListed = false;
  await expect.poll(() => seen, soon).toEqual(["first", ABSENT]);
  await pass(times.awayMs);
  expect(seen).toHaveLength(2);
});

test("one that is back in time is not named, and has what it kept meanwhile", async () => {
  await start(speaking());
  say("first");
  const seen = await follow(30_000);
  await expect.poll(() => seen, soon).toEqual(["first"]);
  isCut = true;
  await pass(times.silentMs / 2);
  say("meanwhile");
  await pass(times.silentMs);
  for (const socket of sockets) socket.destroy();
  isCut = false;
  await expect.poll(() => seen, soon).toEqual(["first", "meanwhile"]);
});

test("one that has nothing to say is not silent", async () => {
  await start(speaking());
  const seen = await follow();
  await pass(times.silentMs + times.awayMs);
  say("at last");
  await expect.poll(() => seen, soon).toEqual(["at last"]);
  expect(sockets).toHaveLength(2); // no new connection was made
});

test("one from before there was a keep-alive may be silent", async () => {
  await start(createCollectorListener(segments));
  const seen = await follow();
  await pass(times.silentMs + times.awayMs);
  say("at last");
  await expect.poll(() => seen, soon).toEqual(["at last"]);
  expect(sockets).toHaveLength(2);
});

test("a reader from before there was one passes over it, and one that does not follow gets none", async () => {
  await start(speaking());
  say("first");
  const headers = { authorization: `Bearer ${SECRET}` };
  const place = `https://127.0.0.1:${(agent.address() as AddressInfo).port}/v1/logs/${owner.tenantId}/${owner.functionId}`;
  const { Agent: Dispatcher, request } = await import("undici");
  const dispatcher = new Dispatcher({ connect: { ca, servername: NAME } });
  const once = await request(place, { headers, dispatcher });
  expect(once.headers["x-fnctl-keep-alive-ms"]).toBeUndefined();
  expect((await once.body.text()).trimEnd().split("\n")).toHaveLength(1);
  const { body } = await request(`${place}?follow=true`, { headers, dispatcher, signal: end.signal });
  const seen: string[] = [];
  void (async () => {
    for await (const { message } of records(body)) seen.push(message);
  })().catch(() => undefined);
  await pass(3 * KEEP_ALIVE_MS);
  say("second");
  await expect.poll(() => seen, soon).toEqual(["first", "second"]);
});

test("an agent may be late twice before it is silent", () => expect(SILENT_MS).toBeGreaterThanOrEqual(3 * AGENT.keepAliveMs));
