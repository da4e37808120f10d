// Scenarios about the gateway: what many share there is what one of them could take from the others.
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import type { Scenario, Stage, Tenant } from "./scenario.ts";
import { HELLO, WARM, again, deployed, fixture, removed, withQuiet } from "./steps.ts";

/**
 * More than this shows that something is kept that should not be. What a gateway has after all that came before is 310 to 330 MiB, nearly all of it
 * pages that the allocator keeps: its heap is 20 to 30 MB, and does not grow under any of these (`flood-memory.test.ts` bounds it).
 */
const MOST_MEMORY = 448 * 1024 * 1024;
const memory = async ({ memoryOf }: Stage): Promise<string[]> => {
  const bytes = memoryOf("gateway");
  return bytes > MOST_MEMORY ? [`the gateway has ${(bytes / 1024 ** 2).toFixed(0)} MiB`] : [];
};

function opened(client: Tenant["client"], onOpen: (socket: Socket) => void): Socket {
  const { hostname, port } = new URL(client.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.once("connect", () => onOpen(socket));
  return socket;
}
/** The same connection again whenever it was cut, `count` at a time. */
function holding(count: number, client: Tenant["client"], onOpen: (socket: Socket) => void): () => Promise<void> {
  const open = new Set<Socket>();
  const end = again(
    count,
    () =>
      new Promise((resolve) => {
        const socket = opened(client, onOpen);
        open.add(socket);
        socket.once("close", () => resolve(open.delete(socket)));
      }),
    50,
  );
  return async () => {
    const ended = end();
    for (const socket of open) socket.destroy();
    await ended;
  };
}

const head = (line: string, host: string, ...fields: string[]): string =>
  [`${line} HTTP/1.1`, `host: ${host}`, ...fields, "", ""].join("\r\n");
const hostOf = ({ client }: Tenant): string => new URL(client.url).host;

const pipelines: Scenario = {
  ...WARM,
  what: "an anonymous client with 60 connections, each with 60 KB of requests for answers of 64 KiB that it does not take",
  async prepare(stage) {
    await withQuiet(stage);
    const source = `const body = "x".repeat(65536);\nexport default { fetch: () => new Response(body) };\n`;
    await deployed(stage.greedy, "wide", { "index.js": source }, { access: "public", concurrency: 100, max: 1 });
  },
  async begin({ greedy }) {
    const flood = head(`GET /fn/${greedy.slug}/wide/`, hostOf(greedy)).repeat(800);
    const end = holding(60, greedy.client, (socket) => void socket.pause().write(flood));
    return async () => {
      await end();
      await removed(greedy, "wide");
    };
  },
  after: memory,
};

const apiHog: Scenario = {
  what: "a tenant with 300 slow uploads, 300 followers of a build and pipelined documents; the neighbour's calls of the API",
  async ask({ client }) {
    const answer = await client.api("GET", "/v1/functions");
    const text = await answer.text();
    return answer.status === 200 ? undefined : `${answer.status} ${text.slice(0, 200)}`;
  },
  pauseMs: 20,
  clients: 2,
  prepare: withQuiet,
  async begin({ greedy }) {
    const host = hostOf(greedy);
    const token = `authorization: Bearer ${greedy.token}`;
    const upload = head(`PUT /v1/blobs/sha256:${"0".repeat(64)}`, host, token, "content-length: 1000000");
    await greedy.client.create("followed", { "index.js": HELLO });
    const log = head("GET /v1/functions/followed/logs?follow=true", host, token);
    const documents = head("GET /v1/openapi.json", host).repeat(500);
    const ends = [
      holding(300, greedy.client, (socket) => void socket.write(`${upload}slow`)),
      holding(300, greedy.client, (socket) => void socket.write(log)),
      holding(4, greedy.client, (socket) => void socket.pause().write(documents)),
    ];
    return async () => {
      await Promise.all(ends.map((end) => end()));
      await removed(greedy, "followed");
    };
  },
  after: memory,
};

const leavers: Scenario = {
  ...WARM,
  what: "50 clients that leave before their answer, of handlers that go on, and 10 whose answers break",
  async prepare(stage) {
    await withQuiet(stage);
    await deployed(stage.greedy, "deaf", { "index.js": fixture("deaf.js") }, { max: 2, concurrency: 20 });
  },
  async begin({ greedy }) {
    const slow = head(`GET /fn/${greedy.slug}/deaf/slow`, hostOf(greedy), `authorization: Bearer ${greedy.token}`);
    const leave = async (): Promise<void> => {
      const socket = opened(greedy.client, () => void socket.write(slow));
      await sleep(50 + 100 * Math.random());
      socket.destroy();
    };
    const ends = [again(50, leave), again(10, () => greedy.client.call("deaf", "/midway"), 10)];
    return async () => {
      await Promise.all(ends.map((end) => end()));
      await removed(greedy, "deaf");
    };
  },
  after: memory,
};

/** Asks again until it is served, and gives up after 10 s. */
async function served(tenant: Tenant): Promise<string | undefined> {
  let last: string | undefined = "";
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(20)) {
    last = await WARM.ask(tenant).catch(String);
    if (last === undefined) return undefined;
  }
  return `not served within 10 s: ${last}`;
}
const gatewayKills: Scenario = {
  what: "the gateway killed every 4 s; the neighbour's function with `max: 1`, asked until it is served",
  ask: served,
  pauseMs: 5,
  clients: 2,
  mostMs: 4_000,
  prepare: ({ neighbour }) => deployed(neighbour, "quiet", { "index.js": HELLO }, { max: 1 }),
  async begin({ kill }) {
    let ended = false;
    const killing = (async () => {
      for (; !ended; await sleep(4_000)) await kill("gateway");
    })();
    return async () => {
      ended = true;
      await killing;
    };
  },
};

const manyConnections: Scenario = {
  ...WARM,
  what: "an anonymous client that opens 1,900 connections, sends half a request on each, and 50 more that call what is not there",
  prepare: withQuiet,
  async begin({ neighbour: { client } }) {
    const end = holding(1_900, client, (socket) => void socket.write("GET / HTTP/1.1\r\nhost: "));
    const pool = new Pool(client.url, { connections: 50 });
    const missing = { method: "GET", path: "/fn/nobody/nothing/", headers: { authorization: `Bearer fnctl_${"x".repeat(40)}` } } as const;
    const calls = again(50, async () => (await pool.request(missing)).body.dump(), 20);
    return async () => {
      await Promise.all([end(), calls()]);
      await pool.destroy();
    };
  },
  after: memory,
};

export const GATEWAY_SCENARIOS: Record<string, Scenario> = {
  pipelines,
  "api-hog": apiHog,
  leavers,
  "gateway-kills": gatewayKills,
  "many-connections": manyConnections,
};
