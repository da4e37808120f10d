// Runs in a network namespace of its own, with a world in another one: an egress proxy that asks a hostile DNS server. Prints, for each name, what the
// function was told, where connections arrived, and what was asked for. Its argument is a folder.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { connect, createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { startEgress } from "../../../gateway/src/egress/egress.ts";
import { readEgressSettings } from "../../../gateway/src/egress/settings.ts";

const [folder = ""] = process.argv.slice(2);
const PORT = 8080;
const SECRET = "h".repeat(64);
const at = (name: string) => path.join(folder, name);
const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });

interface Report {
  arrived: string[];
  asked: string[];
}
/** A world whose end of a pair of interfaces is in its own namespace. */
async function startWorld(): Promise<(line: string) => Promise<Report>> {
  const script = path.join(import.meta.dirname, "hostile-world.ts");
  const child = spawn("unshare", ["--net", process.execPath, script, String(PORT)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  async function tell(line: string): Promise<Report> {
    child.stdin.write(`${line}\n`);
    return JSON.parse((await lines.next()).value as string) as Report;
  }
  await tell("here"); // it answers from its own namespace
  ip("link", "add", "proxy", "type", "veth", "peer", "name", "world");
  ip("link", "set", "world", "netns", String(child.pid));
  ip("addr", "add", "10.99.0.1/24", "dev", "proxy");
  ip("-6", "addr", "add", "fd99::1/64", "dev", "proxy", "nodad");
  ip("link", "set", "proxy", "up");
  await tell("start");
  ip("route", "add", "default", "via", "10.99.0.2");
  ip("-6", "route", "add", "default", "via", "fd99::2");
  return tell;
}

const own: string[] = [];
const ownServer = createServer((socket) => {
  own.push(socket.localAddress ?? "");
  socket.end("hello from inside");
});

function tunnel(instance: string, host: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(at(`root/${instance}/s`), () =>
      socket.write(`CONNECT ${host}:${PORT} HTTP/1.1\r\nhost: ${host}:${PORT}\r\n\r\n`),
    );
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1"))).on("error", () => undefined);
    socket.once("close", () => resolve(text));
    socket.on("end", () => socket.end());
  });
}
/** Without a proxy between. */
function reach(host: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    connect(PORT, host)
      .on("data", (chunk: Buffer) => (text += chunk.toString()))
      .on("error", (error) => resolve(String(error)))
      .on("close", () => resolve(text));
  });
}
function ask(socketPath: string, method: string, where: string, body?: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${SECRET}` };
    const request = http.request({ socketPath, method, path: where, headers, agent: false }, (answer) => {
      let text = `${answer.statusCode} `;
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve(text));
    });
    request.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const tell = await startWorld();
await once(ownServer.listen(PORT, "::"), "listening");
const egress = await startEgress(
  readEgressSettings({
    FNCTL_EGRESS_ROOT: at("root"),
    FNCTL_EGRESS_CONTROL_SOCKET: at("control"),
    FNCTL_INTERNAL_SECRET_FILE: "/unused",
    FNCTL_EGRESS_DNS: "10.99.0.2",
    FNCTL_EGRESS_LOG: at("log"),
  }),
  SECRET,
);
const id = "00000000-0000-4000-8000-000000000001";
const source: EgressSource = {
  tenantId: id,
  functionId: id,
  version: 1,
  label: "fn",
  kind: "function",
  allow: [{ host: "*.example", ports: [PORT] }],
  maxBytes: 1e9,
  maxConnections: 100,
};
await ask(at("control"), "PUT", "/internal/v1/sources/i1", source);
await ask(at("control"), "PUT", "/internal/v1/sources/i2", { ...source, allow: [{ host: "*", ports: [PORT] }] });
const other = "00000000-0000-4000-8000-000000000002";
await ask(at("control"), "PUT", "/internal/v1/sources/i3", { ...source, tenantId: other, functionId: other });

/** More connections to a name than are looked up at a time; resolves with what another tenant is told that asks meanwhile. */
async function besides(name: string): Promise<string> {
  let left = 20;
  const many = Array.from({ length: left }, () => tunnel("i1", name).then(() => (left -= 1)));
  const told = await tunnel("i3", "good.example");
  const meanwhile = left > 0 ? "meanwhile" : "afterwards";
  await Promise.all(many);
  return `${meanwhile} ${told}`;
}
/**
 * `@address`, `/path` of the proxy's, `&name` for who asks besides many that ask for it, `+name` for whoever may reach everything public, or a name;
 * behind `#` is which time it is.
 */
function toldOf(question: string): Promise<string> {
  if (question.startsWith("&")) return besides(question.slice(1));
  if (question.startsWith("@")) return reach(question.slice(1));
  if (question.startsWith("/")) return ask(at("root/i1/s"), "GET", question);
  return question.startsWith("+") ? tunnel("i2", question.slice(1)) : tunnel("i1", question.replace(/#.*/, ""));
}
const found: Record<string, Report & { told: string; own: string[] }> = {};
for (const question of process.argv.slice(3)) {
  const told = await toldOf(question);
  found[question] = { told, own: own.splice(0), ...(await tell("report")) };
}
process.stdout.write(JSON.stringify(found));
await egress.stop();
process.exit(0);
