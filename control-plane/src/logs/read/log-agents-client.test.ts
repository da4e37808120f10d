// Reads over several nodes' agents: real listeners with TLS, real segments.
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { logQuerySchema, type LogRecord } from "../../contract/logs.ts";
import { listenInternal } from "../../service/http/listen.ts";
import { createAuthority, type Identity } from "../../service/http/testing/authority.ts";
import { createAgentListener } from "../kubelet/listener.ts";
import { createSegments, type Segments } from "../keep/segments.ts";
import type { CollectorClient } from "./collector-client.ts";
import type { LogAgentAddress } from "../../cluster/log-agents.ts";
import { createAgentsClient } from "./log-agents-client.ts";
import { records } from "./read.ts";

const NAME = "fnctl-log-agent";
const SECRET = "s".repeat(32);
const owner = { tenantId: randomUUID(), functionId: randomUUID() };
const soon = { timeout: 15_000, interval: 50 };

let folder: string;
let files: { certificate: string; key: string; clients: { ca: string; name: string } };
let ca: string;
let agentIdentity: Identity;
let ownIdentity: Identity;
let places: LogAgentAddress[];
let nodes: { [name: string]: { segments: Segments; server: Server } };
let instanceNodes: Map<string, string>;
let errors: unknown[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fn-agents-"));
  const [agents, internal] = await Promise.all([createAuthority("agents"), createAuthority("internal")]);
  [ca, agentIdentity, ownIdentity] = [agents.ca, await agents.issue(NAME), await internal.issue("fnctl-control-plane")];
  const clients = { ca: internal.ca, name: "fnctl-control-plane" };
  files = { certificate: path.join(folder, "crt"), key: path.join(folder, "key"), clients };
  await Promise.all([writeFile(files.certificate, agentIdentity.cert), writeFile(files.key, agentIdentity.key)]);
  [places, nodes, instanceNodes, errors] = [[], {}, new Map(), []];
});
afterEach(async () => {
  for (const name of Object.keys(nodes)) await stop(name);
  await rm(folder, { recursive: true, force: true });
});

async function start(node: string): Promise<Segments> {
  await mkdir(path.join(folder, node), { recursive: true });
  const segments = createSegments(path.join(folder, node), (error) => void errors.push(error));
  const server = await listenInternal(
    createAgentListener(segments, SECRET),
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    { mode: 0 },
    files,
  );
  nodes[node] = { segments, server };
  places.push({ node, host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  return segments;
}
async function stop(node: string): Promise<void> {
  const { segments, server } = nodes[node]!;
  delete nodes[node];
  server.closeAllConnections();
  server.close();
  await segments.settle();
}
const client = (secret = SECRET, trusted = ca, identity = ownIdentity): CollectorClient =>
  createAgentsClient({
    find: async () => [...places],
    nodeOf: async (instance) => instanceNodes.get(instance),
    ca: trusted,
    serverName: NAME,
    identity,
    secret,
    onError: (error) => void errors.push(error),
  });
const say = (segments: Segments, message: string, at: number) =>
  segments.append(owner, { level: "info", source: "stdout", version: 1, instance: "a".repeat(20), message }, at);
async function read(from: CollectorClient, query: Record<string, string> = {}): Promise<LogRecord[]> {
  const body = await from.read(owner.tenantId, owner.functionId, logQuerySchema.parse(query), AbortSignal.timeout(20_000));
  const all: LogRecord[] = [];
  for await (const record of records(body)) all.push(record);
  return all;
}
const messages = async (...args: Parameters<typeof read>) => (await read(...args)).map(({ message }) => message);

describe("a read", () => {
  test("has the last records of all nodes by time", async () => {
    const [one, two] = [await start("one"), await start("two")];
    for (const at of [1, 3, 5, 7]) say(one, `one ${at}`, at);
    for (const at of [2, 4, 6]) say(two, `two ${at}`, at);
    expect(await messages(client())).toEqual(["one 1", "two 2", "one 3", "two 4", "one 5", "two 6", "one 7"]);
    expect(await messages(client(), { limit: "3" })).toEqual(["one 5", "two 6", "one 7"]);
  });

  test("has all that a function has kept, however much that is, followed or not", async () => {
    const one = await start("one");
    for (let at = 0; at < 800; at++) say(one, `${at} ${"x".repeat(16_000)}`, at);
    const all = Array.from({ length: 800 }, (_, index) => index);
    const numbers = (found: LogRecord[]) => found.map(({ message }) => Number.parseInt(message));
    expect(numbers(await read(client(), { limit: "1000" }))).toEqual(all);
    const query = logQuerySchema.parse({ limit: "1000", follow: "true" });
    const found: LogRecord[] = [];
    for await (const record of records(await client().read(owner.tenantId, owner.functionId, query, AbortSignal.timeout(20_000)))) {
      if (found.length === 0) say(one, "800", 800);
      found.push(record);
      if (found.length === 801) break;
    }
    expect(numbers(found)).toEqual([...all, 800]);
  });

  test("names a node whose agent does not answer, and has the others' records", async () => {
    const [one] = [await start("one"), await start("two")];
    say(one, "here", 1);
    await stop("two");
    expect(await messages(client())).toEqual(["here", expect.stringContaining("the log agent of node two does not answer")]);
  });

  test("takes no more from a node than a record may have", async () => {
    const one = await start("one");
    say(one, "x".repeat(1024 * 1024), 1);
    say(one, "after", 2);
    expect(await messages(client())).toEqual([expect.stringContaining("node one does not answer")]);
  });

  test("has nothing without the agents' secret, from somebody else's certificate, or as another agent", async () => {
    say(await start("one"), "secret", 1);
    expect(await messages(client("x".repeat(32)))).toEqual([expect.stringContaining("does not answer")]);
    const other = await createAuthority("agents");
    expect(await messages(client(SECRET, other.ca))).toEqual([expect.stringContaining("does not answer")]);
    expect(await messages(client(SECRET, ca, agentIdentity))).toEqual([expect.stringContaining("does not answer")]);
  });
});

describe("a reader that follows", () => {
  async function follow() {
    const seen: string[] = [];
    const end = new AbortController();
    const query = logQuerySchema.parse({ follow: "true" });
    const body = await client().read(owner.tenantId, owner.functionId, query, end.signal);
    const done = (async () => {
      for await (const { message } of records(body)) seen.push(message);
    })().catch(() => undefined);
    return { seen, stop: () => (end.abort(), done) };
  }

  test("gets what was kept by time, then each node's records as they come, and those of an agent that comes later", async () => {
    const [one, two] = [await start("one"), await start("two")];
    say(one, "one 1", 1);
    say(two, "two 0", 0);
    const reader = await follow();
    await expect.poll(() => reader.seen, soon).toEqual(["two 0", "one 1"]);
    say(two, "live two", Date.now());
    say(one, "live one", Date.now());
    await expect.poll(() => reader.seen.toSorted().slice(0, 2), soon).toEqual(["live one", "live two"]);
    const three = await start("three");
    say(three, "before the reader", 1);
    say(three, "new node", Date.now());
    await expect.poll(() => reader.seen.at(-1), soon).toBe("new node");
    await reader.stop();
    expect(reader.seen).not.toContain("before the reader");
  });

  test("goes on when an agent is replaced, with what its node kept meanwhile, and nothing twice", async () => {
    const [one, two] = [await start("one"), await start("two")];
    say(one, "first", Date.now());
    const reader = await follow();
    await expect.poll(() => reader.seen, soon).toEqual(["first"]);
    await stop("one");
    places = places.filter(({ node }) => node !== "one");
    say(two, "of the other", Date.now());
    await expect.poll(() => reader.seen, soon).toEqual(["first", "of the other"]);
    const again = await start("one");
    say(again, "second", Date.now());
    await expect.poll(() => reader.seen, soon).toEqual(["first", "of the other", "second"]);
    await reader.stop();
  });

  test("is told once of an agent that is not there", async () => {
    say(await start("one"), "here", 1);
    await start("two");
    await stop("two");
    const reader = await follow();
    await expect.poll(() => reader.seen.length, soon).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(reader.seen.filter((message) => message.includes("node two"))).toHaveLength(1);
    await reader.stop();
  });
});

describe("what the platform does", () => {
  const note = { ...owner, version: 1, instance: "a".repeat(20), level: "error" as const, message: "crashed" };

  test("a note goes to the instance's node, and to another when that one is away or unknown", async () => {
    await start("one");
    await start("two");
    instanceNodes.set(note.instance, "two");
    await client().note(note);
    await nodes["two"]!.segments.settle();
    expect(await nodes["two"]!.segments.owners()).toEqual([owner]);
    await stop("two");
    await client().note({ ...note, message: "again" });
    expect(await messages(client())).toEqual(["again", expect.stringContaining("node two")]);
  });

  test("owners are those of all nodes, once, and removing is done on all", async () => {
    say(await start("one"), "x", 1);
    say(await start("two"), "y", 2);
    expect(await messages(client())).toEqual(["x", "y"]);
    expect(await client().owners()).toEqual([owner]);
    await client().remove(owner.tenantId, owner.functionId);
    expect(await messages(client())).toEqual([]);
    expect(errors).toEqual([]);
  });
});

test("a reader that takes nothing of what was kept is cut off", async () => {
  const segments = await start("node-a");
  const draft = { level: "info", source: "stdout", version: 1, instance: "i", message: "x".repeat(10_000) } as const;
  for (let index = 0; index < 20; index++) segments.append(owner, draft);
  await segments.settle();
  const real = globalThis.setTimeout;
  const soonStalled = ((work: () => void, ms?: number) => real(work, ms === 30_000 ? 50 : ms)) as typeof setTimeout;
  const spy = vi.spyOn(globalThis, "setTimeout").mockImplementation(soonStalled);
  const query = logQuerySchema.parse({ limit: 100 });
  const body = await client().read(owner.tenantId, owner.functionId, query, new AbortController().signal);
  await expect.poll(() => body.destroyed, soon).toBe(true);
  spy.mockRestore();
});
