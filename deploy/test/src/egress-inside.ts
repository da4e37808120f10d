// The inside of a sandbox, in a network namespace of its own: names.pl with the proxy's socket, and a client that knows nothing of a proxy. Its argument
// is the socket. Each line of its input, a name and a port, is a connection that says hello; it prints the answer or an error. `fate` prints how the
// oldest connection ended.
import { spawn } from "node:child_process";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";

const [place = ""] = process.argv.slice(2);
const names = spawn("/usr/bin/perl", [path.resolve(import.meta.dirname, "../../../runtime-images/base/names.pl"), place], {
  stdio: ["pipe", "pipe", "ignore"],
});
await once(names.stdout, "data");
const resolver = new Resolver({ timeout: 2_000, tries: 1 });
resolver.setServers(["127.0.0.1"]);
const fates: Promise<string>[] = [];

async function hello(name: string, port: number): Promise<string> {
  const [address = ""] = await resolver.resolve4(name);
  const socket = connect(port, address);
  let code = "ended";
  socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code ?? ""));
  const fate = new Promise<string>((resolve) => socket.once("close", () => resolve(code)));
  socket.write("hello");
  const answer = await Promise.race([once(socket, "data").then(String, String), fate]);
  if (answer === "hello") fates.push(fate);
  return answer;
}
for await (const line of createInterface({ input: process.stdin })) {
  const [name = "", port] = line.split(" ");
  const told = name === "fate" ? fates.shift()! : hello(name, Number(port));
  process.stdout.write(`${await told.catch(String)}\n`);
}
process.exit(0);
