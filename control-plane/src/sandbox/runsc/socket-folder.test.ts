// Tests SECURITY I1, the only folder on the host that a sandbox can write to, with hostile code inside real gVisor and real servers
// outside.
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { readdirSync, statfsSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Sandbox } from "../driver.ts";
import { ask } from "../testing/ask.ts";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { leftovers } from "./testing/leftovers.ts";
import { PROBE, inside } from "./testing/probe.ts";
import { createRunscHost, type RunscHost } from "./testing/runsc-host.ts";

const { binary, missing } = findRunsc();
const SOCKET = "/run/fn/sock/s";
const pathOf = ({ address }: Sandbox) => (address?.kind === "unix" ? address.path : "");

describe.skipIf(missing !== undefined)(`socket folder${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let host: RunscHost;
  let attacker: Sandbox;
  let neighbour: Sandbox;
  let secret: { path: string; requests: () => number; close(): Promise<void> };

  beforeAll(async () => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    secret = await hostServer();
    [attacker, neighbour] = (await Promise.all([host.run(PROBE), host.run(counting("neighbour"))])).map(({ instance }) => instance) as [
      Sandbox,
      Sandbox,
    ];
  });
  afterAll(async () => {
    await secret.close();
    await host.close();
  });

  it("dials the sandbox itself, whatever the sandbox puts in the place of its socket", async () => {
    expect(await (await fetchUnix(secret.path)).text()).toBe("secret"); // the trap works when it is dialled
    const before = { secret: secret.requests(), neighbour: await countOf(neighbour) };
    for (const target of [secret.path, pathOf(neighbour), host.layout.instance(neighbour.id).boundSocket]) {
      const done = await inside(
        attacker,
        `fs.rmSync("${SOCKET}", { force: true }); fs.symlinkSync("${target}", "${SOCKET}"); return fs.readlinkSync("${SOCKET}");`,
      );
      expect(done).toBe(target);
      for (let index = 0; index < 20; index++) expect(await inside(attacker)).toBe("alive");
      expect(await inside(attacker, `return attempt(() => fs.statSync("${SOCKET}"))`)).toBe("ENOENT"); // it leads nowhere inside, too
    }
    expect(secret.requests()).toBe(before.secret);
    expect(await countOf(neighbour)).toBe(before.neighbour + 1); // the one request that asked for the count
  });

  it("gives the sandbox no way to dial the host's sockets through the folder", async () => {
    const before = secret.requests();
    const dial = `return new Promise((resolve) => {
      const socket = net.connect("${SOCKET}", () => { socket.write("GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n"); resolve("connected"); });
      socket.on("error", (error) => resolve(error.code));
    });`;
    for (const target of [secret.path, path.relative("/run/fn/sock", secret.path), `../p/s`, `../../../${neighbour.id}/t/p/s`]) {
      const dialled = await inside(attacker, `fs.rmSync("${SOCKET}", { force: true }); fs.symlinkSync("${target}", "${SOCKET}"); ${dial}`);
      expect(dialled).toMatch(/^E/);
    }
    expect(secret.requests()).toBe(before);
  });

  it("does not pin, and never dials, what is no socket", async () => {
    const before = secret.requests();
    const tricks = {
      symlink: `fs.symlinkSync("${secret.path}", "${SOCKET}")`,
      "regular file": `fs.writeFileSync("${SOCKET}", "x")`,
      folder: `fs.mkdirSync("${SOCKET}")`,
      // mkfifo(1) is not in the base, but a real attacker could use Python's or compile one.
      fifo: `require("node:child_process").execFileSync("mkfifo", ["${SOCKET}"])`,
    };
    const outcomes = await Promise.all(
      Object.values(tricks).map(async (trick) => {
        const base = await host.hostileBase([
          "/usr/local/bin/node",
          "-e",
          `const fs = require("node:fs"); ${trick}; setInterval(() => {}, 1000);`,
        ]);
        const spec = host.spec({ base });
        const error = await host.driver.start(spec).then(
          () => "started",
          (failure: { code: string }) => failure.code,
        );
        return { error, left: await leftovers(host.layout, host.options.cgroupParent, spec.id) };
      }),
    );
    expect(outcomes).toEqual(Object.keys(tricks).map(() => ({ error: "SANDBOX_FAILED", left: [] })));
    expect(secret.requests()).toBe(before);
  });

  it("is full after 256 KiB, and nothing else notices", async () => {
    const free = () => statfsSync(host.options.paths.runDir).bfree * statfsSync(host.options.paths.runDir).bsize;
    const before = free();
    const written = await inside<{ bytes: number; end: string }>(
      attacker,
      `let bytes = 0;
       const file = fs.openSync("/run/fn/sock/big", "w");
       for (;;) { const end = attempt(() => { bytes += fs.writeSync(file, Buffer.alloc(4096, 1)); }); if (end !== "done" || bytes > 64 << 20) return { bytes, end }; }`,
    );
    expect(written.end).toBe("ENOSPC");
    expect(written.bytes).toBeLessThanOrEqual(256 * 1024);
    expect(before - free()).toBeLessThan(16 * 1024 * 1024); // less than the 64 MiB of the attempt; other processes may write, too
    expect(await inside(attacker)).toBe("alive");
    expect(await ask(neighbour, "/")).toMatchObject({ status: 200 });
    await inside(attacker, `fs.rmSync("/run/fn/sock/big")`);
  });

  it("is full after 32 inodes, and is removed all the same", async () => {
    const made = await inside<{ count: number; end: string }>(
      attacker,
      `for (let count = 0; ; count++) { const end = attempt(() => fs.mkdirSync("/run/fn/sock/d" + count)); if (end !== "done" && !String(end).startsWith("/") || count > 5000) return { count, end }; }`,
    );
    expect(made.end).toBe("ENOSPC");
    expect(made.count).toBeLessThan(32);
    expect(readdirSync(host.layout.instance(attacker.id).box).length).toBeLessThanOrEqual(32);
    expect(await inside(attacker)).toBe("alive");
    const other = await host.run(PROBE);
    expect(await inside(other.instance)).toBe("alive");
    await Promise.all([host.driver.stop(attacker.id), host.driver.stop(other.instance.id)]);
    expect(await leftovers(host.layout, host.options.cgroupParent, attacker.id)).toEqual([]);
  });
});

const counting = (name: string) => `
  let count = 0;
  export default (request, response) => response.end(JSON.stringify({ name: ${JSON.stringify(name)}, count: ++count }));`;
const countOf = async (instance: Sandbox): Promise<number> => (JSON.parse((await ask(instance, "/")).text) as { count: number }).count;

/** Stands in for the control plane's socket: a server on the host, outside every sandbox's mounts. */
async function hostServer() {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-secret-"));
  const file = path.join(folder, "s");
  let count = 0;
  const server = http.createServer((_request, response) => void (count++, response.end("secret")));
  await new Promise<void>((resolve) => void server.listen(file, resolve));
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { path: file, requests: () => count, close };
}

async function fetchUnix(file: string): Promise<{ text(): Promise<string> }> {
  const link = `${file}-link`;
  await symlink(file, link); // as a platform without pinning would have dialled it
  const answer = await ask({ id: "x", address: { kind: "unix", path: link } }, "/");
  return { text: async () => answer.text };
}
