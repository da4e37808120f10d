// What a process does for the first time is slow: module loader, HTTP parser, Response. The process does each once before it is idle, on a
// server and with a function of its own, so that no cold start pays for it. Nothing of a tenant's has been here yet.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CODE_DIGEST_HEADER, CODE_PATH, INIT_PATH } from "./protocol.ts";

const FUNCTION = `export default { async fetch(request) { console.debug; return new Response(request.url + request.headers.get("host")); } };`;
const NAMES = ["FNCTL_TENANT", "FNCTL_FUNCTION", "FNCTL_VERSION"];

/**
 * Plays one init and one invocation. `create` makes an instance for a code folder, as the real one is made. `inPod`: the code is sent in,
 * and whatever reads that is loaded with it.
 */
export async function rehearse(create: (codeFolder: string) => RequestListener, inPod: boolean): Promise<void> {
  const home = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), "rehearsal-"));
  const code = inPod ? join(folder, "code") : folder;
  const server = createServer(create(code));
  try {
    if (!inPod) await writeFile(join(code, "index.mjs"), FUNCTION);
    server.listen({ path: join(folder, "s") });
    await once(server, "listening");
    const init = { entry: { file: "index.mjs" }, env: {}, tenant: "", function: "", version: 0, limits: { memoryMib: 128 } };
    if (inPod) await sendCode(join(folder, "s"));
    await ask(join(folder, "s"), "POST", INIT_PATH, JSON.stringify(init));
    await ask(join(folder, "s"), "GET", "/", "");
  } finally {
    server.close();
    process.chdir(home);
    for (const name of NAMES) delete process.env[name];
    await rm(folder, { recursive: true, force: true });
  }
}

async function sendCode(path: string): Promise<void> {
  const { default: tar } = await import("tar-stream");
  const pack = tar.pack();
  pack.entry({ name: "function/code", type: "directory" });
  pack.entry({ name: "function/code/index.mjs" }, FUNCTION);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack as AsyncIterable<Buffer>) chunks.push(chunk);
  const layer = Buffer.concat(chunks);
  const digest = `sha256:${createHash("sha256").update(layer).digest("hex")}`;
  await ask(path, "PUT", CODE_PATH, layer, `${CODE_DIGEST_HEADER}: ${digest}\r\n`);
}

/** Written out by hand: the client of node:http is none of what a cold start needs. */
async function ask(path: string, method: string, target: string, body: string | Buffer, headers = ""): Promise<void> {
  const socket = connect(path);
  socket.write(`${method} ${target} HTTP/1.1\r\nhost: rehearsal\r\nconnection: close\r\n${headers}content-length: ${body.length}\r\n\r\n`);
  socket.end(body);
  socket.resume();
  await once(socket, "close");
}
