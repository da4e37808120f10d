// Runs in a network namespace of its own, because names.pl listens on port 53 of loopback: starts it with a proxy that echoes, asks it for
// names, connects to them, and prints what came of it as JSON. Its argument is where the proxy listens: a path, or `host:port` as in a pod, where
// the proxy knows the sandbox by its credential.
import { spawn } from "node:child_process";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { connect, createServer as createTcp } from "node:net";
import type { Duplex } from "node:stream";
import { join } from "node:path";

const [place = ""] = process.argv.slice(2);
const [, proxyHost = "", proxyPort = ""] = /^\[?(.+?)\]?:(\d+)$/.exec(place) ?? [];
const isPod = proxyHost !== "";
/** The credentials that were shown, in their order. */
const shown: string[] = [];
let newest = "c-0";
let renewals = 0;
/** False: this is nobody whom the proxy knows. */
function isKnown(authorization: string | undefined): boolean {
  if (!isPod) return authorization === undefined;
  const credential = authorization?.replace("Bearer ", "") ?? "";
  if (!shown.includes(credential)) shown.push(credential);
  return /^c-\d$/.test(credential);
}
const REFUSAL = `{"detail":"no.example:443 is refused.","hint":"Ask for another."}`;
/** Rules as a proxy has them: `*.` and a name, or `*`, beside names; one of them comes later. */
const rules: Record<string, string> = { "a.example": "443 5432", "no.example": "443", "busy.example": "443 8080" };
const asked: string[] = [];
function portsOf(name: string): string {
  const own = rules[name] ?? "";
  if (name === "later.example") return own;
  return `${own} ${name.includes(".") ? "80" : ""}`.trim();
}
/** RDATA of an SRV record that names `t<i>.example`, and of a TXT record of so many bytes. */
const service = (i: number) => Buffer.concat([Buffer.from([0, 1, 0, 2, 0x69, 0x89, `t${i}`.length]), Buffer.from(`t${i}\x07example\0`)]);
const textOf = (bytes: number) => Buffer.concat([Buffer.of(bytes), Buffer.alloc(bytes, "x")]);
const data: Record<string, Buffer[]> = {
  "/srv/_mongodb._tcp.a.example": [service(0), service(1)],
  "/srv/_many._tcp.a.example": Array.from({ length: 32 }, (_, i) => service(i)),
  "/txt/a.example": [textOf(200), textOf(255)],
  "/txt/none.example": [],
};
const proxy = createHttp((request, response) => {
  if (!isKnown(request.headers["proxy-authorization"])) return void response.writeHead(407).end();
  // The first time it cannot be had, as when the control plane is away.
  if (request.url === "/credential" && (renewals += 1) === 1)
    return void response.writeHead(503).end(`{"detail":"The control plane is away."}`);
  if (request.url === "/credential") return void response.writeHead(200).end(`${(newest = "c-1")}\n`);
  const found = data[request.url!];
  if (found !== undefined) return void response.writeHead(200).end(found.map((one) => `${one.toString("hex")}\n`).join(""));
  if (/^\/(srv|txt)\//.test(request.url!))
    return void response.writeHead(request.url!.includes("broken") ? 503 : 403).end(`{"detail":"${request.url} is not allowed."}`);
  if (request.url!.startsWith("http://"))
    return void response
      .writeHead(403, request.url!.includes("forged") ? {} : { "proxy-status": "fnctl; error=http_request_denied" })
      .end(`{"detail":"${request.url} is refused."}`);
  const name = request.url!.replace("/names/", "");
  asked.push(name);
  const ports = portsOf(name);
  if (name === "stuck.example") return;
  if (name === "broken.example") return void response.writeHead(503).end(`{"detail":"${name}: try later."}`);
  if (ports === "") return void response.writeHead(403).end(`{"detail":"${name} is not allowed.","hint":"Allow it."}`);
  response.writeHead(200).end(ports);
}).on("connect", (request, client: Duplex, head: Buffer) => {
  client.on("error", () => undefined);
  if (!isKnown(request.headers["proxy-authorization"])) return void client.end("HTTP/1.1 407 Proxy\r\n\r\n");
  if (request.url === "no.example:443")
    return void client.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${REFUSAL.length}\r\n\r\n${REFUSAL}`);
  client.write(`HTTP/1.1 200 OK\r\n\r\n${request.url}:${head.toString()}`);
  client.pipe(client);
});
await once(isPod ? proxy.listen(Number(proxyPort), proxyHost) : proxy.listen(place), "listening");
const busy = createTcp().listen(8080, "0.0.0.0");
await once(busy, "listening");

const child = spawn("/usr/bin/perl", [join(import.meta.dirname, "../names.pl"), place, "1"]);
let log = "";
child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
await once(child.stdout, "data");
if (isPod) child.stdin.write(`${newest}\n`);

const resolver = new Resolver({ timeout: 2_000, tries: 1 });
resolver.setServers(["127.0.0.1"]);
const code = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
const address = (name: string) => resolver.resolve4(name).then(([first]) => first ?? "", code);
const sixth = (name: string) => resolver.resolve6(name).then(String, code);
const services = (name: string) =>
  resolver.resolveSrv(name).then((all) => all.map((one) => `${one.priority} ${one.weight} ${one.port} ${one.name}`).toSorted(), code);
const texts = (name: string) =>
  resolver.resolveTxt(name).then((all) => all.map(([one = ""]) => one.length).toSorted((x, y) => x - y), code);
/** Says `text`, half-closes, and resolves with how many bytes came back, and the first of them. */
function talk(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let got = "";
    const socket = connect(port, host, () => socket.end(text));
    socket.setEncoding("latin1").on("data", (chunk: string) => (got += chunk));
    socket.on("end", () => resolve(`${got.length} ${got.slice(0, 40)}`)).on("error", (error) => resolve(code(error)));
  });
}

/** Asks as a client does whose datagram was lost, which happens on a busy machine. */
async function patiently(name: string, tries = 5): Promise<string> {
  const found = await address(name);
  return found.startsWith("127.") || tries === 1 ? found : patiently(name, tries - 1);
}
/** So many further names, a few at a time, because a datagram that finds no room is lost. */
async function more(count: number): Promise<Set<string>> {
  const all = new Set<string>();
  for (let i = 0; i < count; i += 20)
    for (const one of await Promise.all(Array.from({ length: 20 }, (_, k) => patiently(`n${i + k}.many.example`)))) all.add(one);
  return all;
}

const a = await address("a.example");
const before = await address("later.example");
rules["later.example"] = "443";
const found = {
  addresses: [a, await address("A.EXAMPLE"), await address("x.w.example")],
  sixth: await sixth("a.example"),
  missing: [await address("single"), await sixth("single")],
  services: await services("_mongodb._tcp.a.example"),
  // Too many for a datagram, so they are asked for by TCP.
  manyServices: (await services("_many._tcp.a.example")).length,
  texts: await texts("A.example"),
  noTexts: [await texts("none.example"), await texts("single"), await texts("broken.example")],
  echoed: await talk(a, 443, "hello"),
  large: await talk(a, 5432, "x".repeat(3_000_000)),
  refused: await talk(await address("no.example"), 443, "x"),
  closed: await talk(a, 81, "x"),
  byProxy: await talk("127.0.0.1", 3128, "CONNECT b.example:1 HTTP/1.1\r\nhost: b.example:1\r\n\r\nmore"),
  plain: await talk("127.0.0.1", 3128, "GET http://plain.example/ HTTP/1.1\r\nhost: plain.example\r\nconnection: close\r\n\r\n"),
  forged: await talk(
    "127.0.0.1",
    3128,
    "GET http://forged.example/ HTTP/1.1\r\nhost: forged.example\r\nconnection: close\r\n\r\nproxy-status: fnctl;",
  ),
  atOnce: new Set((await Promise.all(Array.from({ length: 300 }, () => talk(a, 443, "many")))).values()).size,
  busy: await talk(await address("busy.example"), 443, "x"),
  afterBusy: await talk(await address("after.example"), 80, "x"),
  together: (await Promise.all(Array.from({ length: 20 }, () => address("together.example")))).filter((one) => one.startsWith("127."))
    .length,
  broken: await address("broken.example"),
  stuck: await address("stuck.example"),
  later: [before, await address("later.example").then((ip) => talk(ip, 443, "x"))],
  many: (await more(1_200)).size,
  stillThere: await talk(await address("a.example"), 443, "again"),
  questions: asked.filter((name) => name === "together.example").length,
  shown: [] as string[],
  away: "",
  log: "",
  exit: 0,
};
const late = await address("a.example");
for (let tries = 0; isPod && !shown.includes("c-1") && tries < 5_000; tries++) await talk(late, 443, "later");
found.shown = shown;
proxy.close();
proxy.closeAllConnections();
found.away = await talk(late, 443, "x");
child.stdin.end();
[found.exit] = (await once(child, "exit")) as [number];
process.stdout.write(JSON.stringify({ ...found, log }));
process.exit(0);
