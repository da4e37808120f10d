// What a process does for the first time is slow: module loader, HTTP parser, Response. The process does each once before it is idle, on a
// server and with a function of its own, so that no cold start pays for it. Nothing of a tenant's has been here yet.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INIT_PATH } from "./protocol.ts";

const FUNCTION = `export default { async fetch(request) { console.debug; return new Response(request.url + request.headers.get("host")); } };`;
const NAMES = ["FNCTL_TENANT", "FNCTL_FUNCTION", "FNCTL_VERSION"];

/** Plays one init and one invocation. `create` makes an instance for a code folder, as the real one is made. */
export async function rehearse(create: (codeFolder: string) => RequestListener): Promise<void> {
  const home = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), "rehearsal-"));
  const server = createServer(create(folder));
  try {
    await writeFile(join(folder, "index.mjs"), FUNCTION);
    server.listen({ path: join(folder, "s") });
    await once(server, "listening");
    const init = { entry: { file: "index.mjs" }, env: {}, tenant: "", function: "", version: 0, limits: { memoryMib: 128 } };
    await ask(join(folder, "s"), "POST", INIT_PATH, JSON.stringify(init));
    await ask(join(folder, "s"), "GET", "/", "");
  } finally {
    server.close();
    process.chdir(home);
    for (const name of NAMES) delete process.env[name];
    await rm(folder, { recursive: true, force: true });
  }
}

/** Written out by hand: the client of node:http is none of what a cold start needs. */
async function ask(path: string, method: string, target: string, body: string): Promise<void> {
  const socket = connect(path);
  socket.end(`${method} ${target} HTTP/1.1\r\nhost: rehearsal\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  socket.resume();
  await once(socket, "close");
}
