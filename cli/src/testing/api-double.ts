// A small platform in memory for tests: the API routes that the CLI uses, over real HTTP.
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { functionConfigSchema } from "@fnctl/control-plane/contract/config";
import { PlatformError, PROBLEM_TYPE, toProblem } from "@fnctl/control-plane/contract/errors";
import type { LogRecord } from "@fnctl/control-plane/contract/logs";
import { createVersionSchema, type BuildEvent, type Version } from "@fnctl/control-plane/contract/resources";

export const TOKEN = "fnctl_test_token_0001";
const NOW = "2026-11-23T10:00:00.000Z";
type Outcome = { problem?: PlatformError };

export async function createApiDouble() {
  const blobs = new Map<string, Buffer>();
  const versions: Version[] = [];
  const seen: { method: string; path: string; headers: IncomingMessage["headers"] }[] = [];
  const state = {
    live: null as number | null,
    outcome: {} as Outcome,
    cutStreams: 0,
    hold: false,
    logs: [] as LogRecord[],
    skewMs: 0,
    egressApplied: true,
    /** The tenant refuses it on every port. */
    egressDenied: false,
  };

  const origin = () => `http://localhost:${(server.address() as AddressInfo).port}`;
  const fn = () => ({
    id: randomUUID(),
    name: "hello",
    runtime: "node24",
    createdAt: NOW,
    url: "http://hello--acme.example.com/",
    pathUrl: `${origin()}/fn/acme/hello/`,
    access: "private",
    liveVersion: state.live,
    etag: `"${state.live}"`,
  });

  function events(): BuildEvent[] {
    const { problem } = state.outcome;
    const rolledOut = problem === undefined || problem.code !== "BUILD_FAILED";
    const list: object[] = [
      { type: "phase", phase: "build", state: "started" },
      { type: "log", stream: "stdout", text: "added 3 packages\u001b[2J" },
    ];
    if (rolledOut)
      list.push({ type: "phase", phase: "build", state: "done", ms: 120 }, { type: "phase", phase: "rollout", state: "started" });
    if (problem === undefined) list.push({ type: "phase", phase: "rollout", state: "done", ms: 30 }, { type: "end", state: "succeeded" });
    else list.push({ type: "end", state: "failed", problem: toProblem(problem, "req-build-0001") });
    return list.map((event, seq) => ({ seq, at: NOW, ...event }) as BuildEvent);
  }

  async function createVersion(body: Buffer) {
    const { sourceDigest, config } = createVersionSchema.parse(JSON.parse(body.toString()));
    if (!blobs.has(sourceDigest)) throw new PlatformError("NOT_FOUND", "The source archive was not uploaded.");
    const number = versions.length + 1;
    const build = { id: randomUUID(), state: "succeeded" as const, createdAt: NOW, startedAt: NOW, endedAt: NOW, problem: null };
    const version: Version = {
      id: randomUUID(),
      number,
      state: "ready",
      config: functionConfigSchema.parse(config),
      sourceDigest,
      imageDigest: `sha256:${"a".repeat(64)}`,
      imageBytes: 1000,
      createdAt: NOW,
      live: false,
      build,
    };
    versions.unshift(version);
    if (state.outcome.problem === undefined) state.live = number;
    return version;
  }

  function sendEvents(response: ServerResponse, after: number) {
    const list = events().filter((event) => event.seq > after);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    if (state.hold) return void response.write(`${JSON.stringify(list[0])}\n`);
    if (state.cutStreams > 0) {
      state.cutStreams -= 1;
      // One whole event, half of another, then the connection is gone.
      response.write(`${JSON.stringify(list[0])}\n{"seq":`, () => response.destroy());
      return;
    }
    response.end(list.map((event) => `${JSON.stringify(event)}\n`).join(""));
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", origin());
    const at = `${request.method} ${url.pathname}`;
    const json = (status: number, value: unknown) =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (at === "GET /v1/healthz") return json(200, { status: "ok" });
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      throw new PlatformError("UNAUTHENTICATED", "The request carries no valid token.");
    if (url.pathname.startsWith("/fn/acme/hello/")) {
      const body = await buffer(request);
      const status = Number(url.searchParams.get("status") ?? 200);
      return void response
        .writeHead(status, { "content-type": "text/plain" })
        .end(`${request.method} ${url.pathname}${url.search} ${body.toString()}`);
    }
    if (url.pathname.startsWith("/v1/blobs/")) return blob(request, response, url.pathname.slice("/v1/blobs/".length));
    if (at === "GET /v1/whoami")
      return json(200, {
        tenant: { id: randomUUID(), slug: "acme", risk: "standard", createdAt: NOW },
        token: { id: randomUUID(), name: "first", prefix: "abcd", scopes: ["admin"], createdAt: NOW, expiresAt: null },
        endpoint: { domain: "localhost", publicUrl: origin() },
      });
    if (at === "GET /v1/egress/rules") return json(200, { items: [] });
    if (at === "POST /v1/egress/rules") {
      const wanted = JSON.parse((await buffer(request)).toString()) as object;
      if (state.egressDenied) throw new PlatformError("CONFLICT", "It is denied on every port, which goes before this.");
      return json(201, { ...wanted, id: randomUUID(), createdAt: NOW, applied: state.egressApplied });
    }
    if (at === "GET /v1/functions") return json(200, { items: versions.length === 0 ? [] : [fn()], nextCursor: null });
    if (at === "POST /v1/functions/hello/versions") return json(201, await createVersion(await buffer(request)));
    if (/^GET \/v1\/builds\/[^/]+\/events$/.test(at)) return sendEvents(response, Number(url.searchParams.get("after") ?? -1));
    if (versions.length === 0 || !url.pathname.startsWith("/v1/functions/hello"))
      throw new PlatformError("NOT_FOUND", "There is no such function.");
    if (at === "GET /v1/functions/hello")
      return json(200, { ...fn(), live: versions.find((entry) => entry.number === state.live) ?? null, instances: [], lastFailure: null });
    if (at === "GET /v1/functions/hello/versions")
      return json(200, { items: versions.map((entry) => ({ ...entry, live: entry.number === state.live })), nextCursor: null });
    if (at === "PUT /v1/functions/hello/aliases/live") {
      state.live = (JSON.parse((await buffer(request)).toString()) as { version: number }).version;
      return json(200, fn());
    }
    if (at === "GET /v1/functions/hello/logs")
      return void response
        .writeHead(200, { "content-type": "application/x-ndjson" })
        .end(state.logs.map((record) => `${JSON.stringify(record)}\n`).join(""));
    if (at === "DELETE /v1/functions/hello") {
      versions.length = 0;
      return void response.writeHead(204).end();
    }
    throw new PlatformError("NOT_FOUND", "The API has no such path.");
  }

  async function blob(request: IncomingMessage, response: ServerResponse, digest: string): Promise<void> {
    if (request.method === "PUT") {
      const bytes = await buffer(request);
      if (`sha256:${createHash("sha256").update(bytes).digest("hex")}` !== digest)
        throw new PlatformError("DIGEST_MISMATCH", "The bytes do not have this digest.");
      blobs.set(digest, bytes);
    } else if (!blobs.has(digest)) throw new PlatformError("NOT_FOUND", "There is no such blob.");
    response.writeHead(request.method === "PUT" ? 201 : 204).end();
  }

  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers });
    response.setHeader("x-request-id", String(request.headers["x-request-id"] ?? "none"));
    response.setHeader("date", new Date(Date.now() + state.skewMs).toUTCString());
    route(request, response).catch((error: unknown) => {
      const problem = toProblem(error, String(request.headers["x-request-id"]));
      response.writeHead(problem.status, { "content-type": PROBLEM_TYPE }).end(JSON.stringify(problem));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "localhost", resolve));
  return {
    url: origin(),
    blobs,
    versions,
    seen,
    state,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}
export type ApiDouble = Awaited<ReturnType<typeof createApiDouble>>;
