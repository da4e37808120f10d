// What a sandbox has of the egress proxy, for tests: a socket of its own, or in a pod the proxy's port and a credential; and how its code uses it.
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { FUNCTION_EGRESS, type EgressSource } from "@fnctl/control-plane/contract/internal";
import type { EgressPlane, Owner } from "./egress-plane.ts";

export interface Way {
  instance: string;
  to: NetConnectOpts;
  /** What each request says beside its own. */
  fields: Record<string, string>;
}
export interface Allow {
  host: string;
  port: number;
}
/** Bytes of what a tunnel says that are kept. */
const KEPT = 64 * 1024;
let count = 0;

/** A sandbox of the tenant's function, whose version allows these. */
export const openWay = (plane: EgressPlane, owner: Owner, ...allow: Allow[]): Promise<Way> =>
  plane.pods ? podWay(plane, owner, allow) : socketWay(plane, owner, allow);

async function socketWay({ ask, at }: EgressPlane, { id, functionId }: Owner, allow: Allow[]): Promise<Way> {
  const instance = `w${(count += 1)}`;
  const rules = allow.map(({ host, port }) => ({ host, ports: [port] }));
  const source: EgressSource = { tenantId: id, functionId, version: 1, label: "fn", kind: "function", allow: rules, ...FUNCTION_EGRESS };
  const { status, text } = await ask(at("control"), "PUT", `/internal/v1/sources/${instance}`, source);
  if (status !== 200) throw new Error(text);
  return { instance, to: { path: at(`root/${instance}/s`) }, fields: {} };
}

async function podWay({ api, credentials, running, door }: EgressPlane, { id, functionId }: Owner, allow: Allow[]): Promise<Way> {
  const instance = `pod-w${(count += 1)}`;
  const address = `127.0.2.${count}`; // each pod has one of its own
  const egress = { allow: allow.map(({ host, port }) => `${host}:${port}`) };
  const made = await api.platform.deploy(id, "hello", "request", "hello", { egress });
  await api.platform.run(made.job);
  const versionId = made.version.id;
  running.set(instance, versionId);
  const own = { tenantId: id, functionId, versionId, version: 1, label: "fn", address, hasRules: allow.length > 0 };
  const credential = await credentials.forFunction(instance, own);
  const [host, port] = door.split(":");
  return {
    instance,
    to: { host: host!, port: Number(port), localAddress: address },
    fields: { "proxy-authorization": `Bearer ${credential}` },
  };
}

export interface Tunnel {
  socket: Socket;
  /** 0: it was closed without an answer. */
  status: number;
  /** What was said to the client, the answer's head included; of much only the beginning. */
  text(): string;
  /** How many bytes were said to it. */
  bytes(): number;
  /** The error by which its socket ended; empty: none. */
  error(): string;
  isClosed(): boolean;
  closed: Promise<void>;
}
/** A CONNECT; resolves when it is answered or closed. */
export function openTunnel({ to, fields }: Way, authority: string): Promise<Tunnel> {
  return new Promise((resolve) => {
    const socket = connect(to);
    let [text, bytes, code] = ["", 0, ""];
    const closed = new Promise<void>((end) => socket.once("close", () => end()));
    const tunnel = { socket, text: () => text, bytes: () => bytes, error: () => code, isClosed: () => socket.destroyed, closed };
    const answered = (): void => resolve({ ...tunnel, status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0) });
    socket
      .on("error", (error: NodeJS.ErrnoException) => (code = error.code ?? String(error)))
      .on("close", answered)
      .on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (text.length > KEPT) return;
        text += chunk.toString("latin1");
        if (text.includes("\r\n\r\n")) answered();
      });
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${lines.join("")}\r\n`);
  });
}

/** A plain request in absolute form, or a question to the proxy itself; its body is the caller's to write and to end. */
export function openPlain({ to, fields }: Way, method: string, url: string): http.ClientRequest {
  const headers = { ...fields, host: new URL(url, "http://proxy").host };
  const request = http.request({
    createConnection: () => connect(to),
    agent: undefined,
    method,
    path: url,
    headers,
  } as http.RequestOptions);
  return request.on("error", () => undefined);
}
export async function answerOf(request: http.ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  return answer;
}
export async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return text;
}
export async function get(way: Way, url: string): Promise<{ status: number; text: string }> {
  const answer = await answerOf(openPlain(way, "GET", url).end());
  return { status: answer.statusCode ?? 0, text: await textOf(answer) };
}
