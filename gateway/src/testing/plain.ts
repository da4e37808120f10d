// A sandbox's plain requests through the egress proxy, and the servers that they go to, for tests.
import { once } from "node:events";
import { createServer, request as sendRequest, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach } from "vitest";
import { at, control, rules } from "./egress.ts";

const servers: Server[] = [];
/** Ends the servers of each test of the calling file. */
export const endServers = (): void =>
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

async function httpServer(listener: RequestListener): Promise<Server & { port: number }> {
  const server = createServer(listener);
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}
/** An upstream to which `i1` may go, at `good.example`. */
export async function upstream(listener: RequestListener, overrides = {}) {
  const server = await httpServer(listener);
  await control("PUT", "i1", rules([server.port], overrides));
  return { server, url: `http://good.example:${server.port}`, authority: `good.example:${server.port}` };
}
export const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request
    .on("data", (chunk: Buffer) => chunks.push(chunk))
    .on("end", () => {
      const { method, url, rawHeaders, rawTrailers } = request;
      response.end(JSON.stringify({ method, url, fields: rawHeaders, rawTrailers, body: Buffer.concat(chunks).toString() }));
    });
};
export interface Echoed {
  method: string;
  url: string;
  fields: string[];
  rawTrailers: string[];
  body: string;
}
/** A request as a client of a proxy sends it. */
export function send(method: string, url: string, headers: Record<string, string | string[]> = {}) {
  const { host } = new URL(url);
  return sendRequest({ socketPath: join(at("root"), "i1/s"), agent: false, method, path: url, headers: { host, ...headers } });
}
export async function answerOf(request: ReturnType<typeof send>): Promise<IncomingMessage> {
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  return answer;
}
export async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return text;
}
export async function get(url: string, headers = {}, method = "GET", body?: string) {
  const request = send(method, url, headers);
  request.end(body);
  const answer = await answerOf(request);
  return { status: answer.statusCode, answer, text: await textOf(answer) };
}
