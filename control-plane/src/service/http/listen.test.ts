// Which clients may connect to a listener that demands client certificates.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect } from "node:tls";
import { Client } from "undici";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listenInternal } from "./listen.ts";
import { createAuthority, type Identity } from "./testing/authority.ts";

type Authority = Awaited<ReturnType<typeof createAuthority>>;
let folder: string;
let server: Server;
let authority: Authority;
let served: number;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fn-listen-"));
  authority = await createAuthority("internal");
  served = 0;
  const own = await authority.issue("log-agent");
  const files = { certificate: path.join(folder, "crt"), key: path.join(folder, "key") };
  await Promise.all([writeFile(files.certificate, own.cert), writeFile(files.key, own.key)]);
  const listener = (_request: unknown, response: { end(text: string): void }) => {
    served++;
    response.end("in");
  };
  const clients = { ca: authority.ca, name: "control-plane" };
  server = await listenInternal(listener, { kind: "tcp", host: "127.0.0.1", port: 0 }, { mode: 0 }, { ...files, clients });
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function ask(identity?: Identity): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const client = new Client(`https://127.0.0.1:${port}`, { connect: { ca: authority.ca, servername: "log-agent", ...identity } });
  try {
    const { body } = await client.request({ method: "GET", path: "/" });
    return await body.text();
  } finally {
    await client.destroy();
  }
}

test("the one that is meant is let in, on every connection", async () => {
  const identity = await authority.issue("control-plane");
  expect([await ask(identity), await ask(identity)]).toEqual(["in", "in"]);
});

test("who is refused and sends a second request at once is refused again, and the part goes on", async () => {
  const { port } = server.address() as AddressInfo;
  const two = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
  const socket = connect({ port, host: "127.0.0.1", ca: authority.ca, servername: "log-agent", ...(await authority.issue("log-agent")) });
  socket.on("error", () => undefined).once("secureConnect", () => socket.write(two));
  await once(socket, "close");
  expect(served).toBe(0);
  expect(await ask(await authority.issue("control-plane"))).toBe("in");
});

test.each<[string, () => Promise<Identity | undefined>]>([
  ["nobody in particular", async () => undefined],
  ["another part, of the same authority", () => authority.issue("log-agent")],
  ["who took the name, of another authority", async () => (await createAuthority("internal")).issue("control-plane")],
])("%s is not, and nothing of it is read", async (_what, make) => {
  await expect(ask(await make())).rejects.toThrow();
  expect(served).toBe(0);
});
