// A reverse proxy in front of a real registry: it records what a client sends, and a test can replace or change answers.
import http, { type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent, request as send } from "undici";

export interface Seen {
  method: string;
  /** Path and query. */
  path: string;
  headers: IncomingHttpHeaders;
  /** Body of the request, if it is a manifest. */
  body?: Buffer;
  status: number;
  /** Headers of the answer. */
  told?: IncomingHttpHeaders;
}
export interface FrontOptions {
  /** Path and query that the registry is asked for instead. */
  rewrite?(seen: Seen): string;
  /** Answers instead of the registry; returns false if it did not. */
  answer?(seen: Seen, response: http.ServerResponse): boolean;
  /** Changes the headers of the registry's answer. */
  adjust?(seen: Seen, headers: IncomingHttpHeaders): void;
}
export type Front = Awaited<ReturnType<typeof startFront>>;
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "expect"];
const isManifest = ({ method = "", url = "" }: http.IncomingMessage): boolean => method === "PUT" && url.includes("/manifests/");

export async function startFront(target: string, options: FrontOptions = {}) {
  const seen: Seen[] = [];
  const agent = new Agent();
  async function handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const entry: Seen = { method: request.method ?? "", path: request.url ?? "", headers: request.headers, status: 0 };
    if (isManifest(request)) entry.body = Buffer.concat((await request.toArray()) as Buffer[]);
    seen.push(entry);
    if (options.answer?.(entry, response) === true) {
      entry.status = response.statusCode;
      return;
    }
    const hasBody = !["GET", "HEAD", "DELETE"].includes(entry.method);
    const answer = await send(new URL(options.rewrite?.(entry) ?? entry.path, `http://${target}`), {
      dispatcher: agent,
      method: entry.method as "GET",
      headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP_BY_HOP.includes(name))),
      body: hasBody ? (entry.body ?? request) : null,
    });
    const headers: IncomingHttpHeaders = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
    options.adjust?.(entry, headers);
    Object.assign(entry, { status: answer.statusCode, told: headers });
    response.writeHead(answer.statusCode, headers);
    answer.body.on("error", () => response.destroy()).pipe(response);
  }
  const server = http.createServer((request, response) => void handle(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    /** Runs `what` and returns only the requests that it sent. */
    async during(what: () => Promise<unknown>): Promise<Seen[]> {
      seen.length = 0;
      await what();
      return [...seen];
    },
    async close(): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
      await agent.destroy();
    },
  };
}
