// The world as a proxy in another network namespace sees it: a server on every address, public or not, and a hostile DNS server. It is told over its
// standard input when its network is there, and to report what arrived since the last time.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { CLOSED, PUBLIC, startHostileDns } from "./hostile-dns.ts";

const [port = "0"] = process.argv.slice(2);
const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
let arrived: string[] = [];
const asked: string[] = [];

async function start(): Promise<void> {
  ip("link", "set", "lo", "up");
  ip("addr", "add", "10.99.0.2/24", "dev", "world");
  ip("-6", "addr", "add", "fd99::2/64", "dev", "world", "nodad");
  ip("link", "set", "world", "up");
  for (const address of [...Object.values(PUBLIC), ...Object.values(CLOSED)])
    ip("addr", "add", `${address}/${address.includes(":") ? "128" : "32"}`, "dev", "lo");
  const server = createServer((socket) => {
    const own = (socket.localAddress ?? "").replace("::ffff:", "");
    arrived.push(own);
    socket.on("error", () => undefined).end(`hello from ${own}`);
  });
  await once(server.listen(Number(port), "::"), "listening");
  await startHostileDns("10.99.0.2", asked);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "start") await start();
  process.stdout.write(`${JSON.stringify({ arrived, asked })}\n`);
  arrived = [];
  asked.length = 0;
}
process.exit(0);
