// Talks to a bootstrap as ingress does, over its socket; kept small, so that each case controls what is sent.
import { writeFile } from "node:fs/promises";
import http, { type IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CaseFunction } from "./functions.ts";
import type { Sandbox } from "./runsc.ts";

const UUID = "0190a000-0000-7000-8000-000000000000";

export interface Reply {
  status: number;
  headers: IncomingMessage["headers"];
  trailers: IncomingMessage["trailers"];
  body: Buffer;
  text: string;
}
export interface Sent {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/** Starts a request and returns it with its response; the caller ends the request. */
export function open(
  socketPath: string,
  path: string,
  sent: Sent = {},
): { request: http.ClientRequest; response: Promise<IncomingMessage> } {
  const request = http.request({
    socketPath,
    path,
    method: sent.method ?? (sent.body === undefined ? "GET" : "POST"),
    headers: { host: "fn.example.com", ...sent.headers },
    agent: false,
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => request.once("response", resolve).once("error", reject));
  return { request, response };
}

export async function call(socketPath: string, path: string, sent: Sent = {}): Promise<Reply> {
  const { request, response } = open(socketPath, path, sent);
  request.end(sent.body);
  const incoming = await response;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, trailers: incoming.trailers, body, text: body.toString() };
}

/** Waits until `look` returns a value; the time limit only serves to end a broken run. */
export async function eventually<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}.`);
    await sleep(10);
  }
}

export async function untilIdle(sandbox: Sandbox): Promise<void> {
  await eventually(
    () =>
      call(sandbox.socket, "/.fnctl/v1/health").then(
        (reply) => (reply.status === 200 ? true : undefined),
        () => undefined,
      ),
    `the socket; output so far: ${sandbox.output()}`,
  );
}

export async function init(sandbox: Sandbox, fn: CaseFunction, name?: string, concurrency = 20): Promise<Reply> {
  await writeFile(join(sandbox.code, fn.file), fn.source);
  const entry = name === undefined ? { file: fn.file } : { file: fn.file, name };
  const body = {
    tenantId: UUID,
    tenant: "acme",
    functionId: UUID,
    function: "case",
    versionId: UUID,
    version: 3,
    entry,
    env: { A: "from init" },
    limits: { timeoutMs: 30_000, memoryMib: 256, concurrency },
  };
  return call(sandbox.socket, "/.fnctl/v1/init", { body: JSON.stringify(body) });
}

export interface LogLine {
  l?: string;
  r?: string;
  m: string;
}
/** The lines of the output that are records. */
export const records = (sandbox: Sandbox): LogLine[] =>
  sandbox
    .output()
    .split("\n")
    .filter((line) => line.startsWith("\u001e"))
    .map((line) => JSON.parse(line.slice(1)) as LogLine);
