// A tenant's own rules from the API to open connections: a real Postgres, its notices, the change stream over a socket, and the egress proxy,
// with a server behind it.
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http, { createServer as createHttp, type Server } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createEgressListener, type EgressListenerDeps } from "@fnctl/control-plane/api/internal/egress-listener";
import { createChangeFeed, type ChangeFeed } from "@fnctl/control-plane/changes/feed";
import { createNoticeStream } from "@fnctl/control-plane/changes/notice-stream";
import { createHeld } from "@fnctl/control-plane/changes/topic";
import { egressTopic } from "@fnctl/control-plane/changes/topics/egress";
import { tokensTopic } from "@fnctl/control-plane/changes/topics/tokens";
import { versionRulesTopic } from "@fnctl/control-plane/changes/topics/version-rules";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { createEgressCredentials } from "@fnctl/control-plane/egress/egress-credentials";
import { createEgressRecords } from "@fnctl/control-plane/egress/records";
import { createEgressUsage } from "@fnctl/control-plane/egress/usage";
import { startEgress, type Egress } from "../../../gateway/src/egress/egress.ts";
import { readEgressSettings } from "../../../gateway/src/egress/settings.ts";
import { createApiPlatform, type ApiPlatform } from "./api-platform.ts";
import { spawnEgress, type EgressProcess } from "./egress-process.ts";
import { startTestNames, type TestNames } from "./test-names.ts";
import { startTestPostgres, type TestPostgres } from "./test-postgres.ts";

export const SECRET = "s".repeat(64);
export interface Owner {
  id: string;
  token: string;
  functionId: string;
}
export interface OpenTunnel {
  status: number;
  text: string;
  closed: Promise<void>;
  isClosed(): boolean;
}

interface Options {
  /** As in a cluster: one port for all sandboxes, which show a credential; otherwise each has a socket. */
  pods?: boolean;
  /** Of the proxy, beside what it needs. */
  env?: Record<string, string>;
  /** The proxy is a process of its own, which resolves these names, and all others as loopback. */
  names?: TestNames;
}
export async function openEgressPlane({ pods = false, env: more = {}, names }: Options = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), "er-"));
  const at = (name: string) => path.join(folder, name);
  const postgres = await startTestPostgres();
  await postgres.migrate();
  const api: ApiPlatform = await createApiPlatform(postgres, undefined, undefined, () => stream.published());
  const upstream = await startUpstream();
  const { port } = upstream;
  const { renew, ...issuer } = createIssuer();
  const stream = createStream(postgres, api, at("feed"), pods ? renew : undefined);
  let egress: Pick<Egress, "stop">;
  let count = 0;

  const door = `127.0.0.1:${await freePort()}`;
  const env = { ...environment(at), ...(pods ? { FNCTL_EGRESS_LISTEN: door } : { FNCTL_EGRESS_ROOT: at("root") }), ...more };
  writeFileSync(at("secret"), SECRET);
  const resolver = names && (await startTestNames(names));
  async function call(token: string, method: string, where: string, body?: unknown): Promise<Response> {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await api.app.request(where, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    if (answer.status >= 300) throw new Error(`${method} ${where}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
  return {
    api,
    postgres,
    at,
    port,
    pods,
    /** Where pods come in. */
    door,
    ...issuer,
    call,
    ask,
    startPlane: stream.start,
    stopPlane: stream.stop,
    async startProxy(): Promise<void> {
      egress = await startEgress(readEgressSettings(env), SECRET, async () => ["127.0.0.1"]);
    },
    stopProxy: () => egress.stop(),
    /** Starts the proxy as a process; resolves when it serves. */
    async spawnProxy(): Promise<EgressProcess> {
      const spawned = spawnEgress({ ...env, FNCTL_EGRESS_DNS: resolver!.server });
      egress = { stop: () => spawned.end("SIGTERM") };
      const serves = () =>
        ask(at("control"), "GET", "/healthz").then(
          ({ status }) => status === 200,
          () => false,
        );
      while (!(await serves())) {
        if (spawned.hasEnded()) throw new Error("The proxy has ended.");
        await sleep(50);
      }
      return spawned;
    },
    /** A tenant with a function `hello`, to which the server behind the proxy is open. */
    async owner(): Promise<Owner> {
      const id = await api.platform.tenant();
      const { version } = await api.platform.deploy(id, "hello");
      const owner = { id, token: await api.token(id), functionId: version.functionId };
      await this.ceiling(owner, { addresses: "127.0.0.0/8", ports: [port] });
      return owner;
    },
    /** Private addresses that the operator opens to the tenant. */
    ceiling: ({ id }: Pick<Owner, "id">, ...ranges: { addresses: string; ports: number[] }[]) =>
      call(api.operator, "PUT", `/v1/tenants/${id}/egress-ceiling`, { private: ranges }),
    rule: ({ token }: Owner, action: "allow" | "deny", rule: string, name: string | null = null) =>
      call(token, "POST", "/v1/egress/rules", { action, rule, function: name }),
    /** A sandbox of the tenant's function, which may reach these hosts by the rules of its version. */
    async sandbox({ id, functionId }: Omit<Owner, "token">, ...hosts: string[]): Promise<string> {
      const instance = `i${(count += 1)}`;
      const allow = hosts.map((host) => ({ host, ports: [port] }));
      const limits = { maxBytes: 1e9, maxConnections: 9 };
      const source: EgressSource = { tenantId: id, functionId, version: 1, label: "fn", kind: "function", allow, ...limits };
      const { status, text } = await ask(at("control"), "PUT", `/internal/v1/sources/${instance}`, source);
      if (status !== 200) throw new Error(text);
      return instance;
    },
    names: (instance: string, name: string) => ask(at(`root/${instance}/s`), "GET", `/names/${name}`),
    tunnel: (instance: string, host: string, to = port) => openTunnel(at(`root/${instance}/s`), `${host}:${to}`),
    hangUp: upstream.hangUp,
    async close(): Promise<void> {
      await egress.stop();
      await stream.stop();
      upstream.close();
      resolver?.close();
      await api.close();
      await postgres.stop();
      rmSync(folder, { recursive: true });
    },
  };
}
const environment = (at: (name: string) => string) => ({
  FNCTL_EGRESS_CONTROL_SOCKET: at("control"),
  FNCTL_EGRESS_FEED: at("feed"),
  FNCTL_INTERNAL_SECRET_FILE: at("secret"),
  FNCTL_EGRESS_FUNCTION_PRIVATE: "127.0.0.1/32",
  FNCTL_EGRESS_LOG: at("log"),
});

/** What makes pods' credentials. */
function createIssuer() {
  /** Instances that run, and their versions. */
  const running = new Map<string, string>();
  const credentials = createEgressCredentials(SECRET);
  const renew = (credential: string) => credentials.renew(credential, (instance, versionId) => running.get(instance) === versionId);
  return { credentials, running, renew };
}

/** The server behind the proxy, which says hello. */
async function startUpstream() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.write("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  /** It ends all its connections. */
  function hangUp(): void {
    for (const socket of sockets) socket.destroy();
  }
  function close(): void {
    hangUp();
    server.close();
  }
  return { port: (server.address() as AddressInfo).port, hangUp, close };
}

/** The change stream as the control plane serves it to the proxy. */
function createStream(postgres: TestPostgres, { platform }: ApiPlatform, socketPath: string, renew: EgressListenerDeps["renew"]) {
  let feed: ChangeFeed;
  let notices: ReturnType<typeof createNoticeStream>;
  let server: Server;
  const onError = (error: unknown) => void process.stderr.write(`${String(error)}\n`);
  return {
    async start(): Promise<void> {
      const topics = [createHeld(egressTopic(platform.system)), createHeld(tokensTopic(platform.system))];
      feed = createChangeFeed([...topics, createHeld(versionRulesTopic(platform.system))], { pingMs: 200 });
      await feed.resync(true);
      notices = createNoticeStream({
        connection: postgres.url("system"),
        onNotice: (notice) => void feed.onNotice(notice),
        onConnected: () => void feed.resync(true),
        onError,
      });
      await notices.start();
      server = createHttp(
        createEgressListener({
          secret: SECRET,
          feed,
          records: createEgressRecords(platform.db, onError),
          usage: createEgressUsage(platform.db, onError),
          renew,
          onError,
        }),
      );
      rmSync(socketPath, { force: true });
      await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    },
    async stop(): Promise<void> {
      await notices.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    /** All changes are there that were made before: as `hearChanges` does it, for which answers of the API wait. */
    async published(): Promise<{ egress: boolean }> {
      await notices.barrier();
      return { egress: (await feed.settled()).allServe("egress") };
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function ask(socketPath: string, method: string, where: string, body?: unknown): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${SECRET}` };
    const request = http.request({ socketPath, method, path: where, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    request.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function openTunnel(socketPath: string, authority: string): Promise<OpenTunnel> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let text = "";
    const closed = new Promise<void>((end) => socket.once("close", () => end()));
    socket.on("error", reject).on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("\r\n\r\n")) resolve({ status: Number(text.split(" ")[1]), text, closed, isClosed: () => socket.destroyed });
    });
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n`);
  });
}

export type EgressPlane = Awaited<ReturnType<typeof openEgressPlane>>;
