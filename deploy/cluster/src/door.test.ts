// When `helm test` counts a port as shut: real sockets, one of them of a process that accepts no connection.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { door, shutBy } from "./door.ts";
import { lookUntil } from "./look-until.ts";

/** Listens on a free port of this host; `close` makes the port free again. */
async function listener() {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { place: `127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}

test("a door that lets us in is open", async () => {
  const { place, close } = await listener();
  expect(await door(place)).toBe("open");
  await close();
});

test("one that refuses is shut", async () => {
  const { place, close } = await listener();
  await close();
  expect(await door(place)).toBe("shut");
});

test("one that says nothing is shut", async () => {
  // The child never accepts a connection, and its queue is full after two: the kernel then drops packets, as a network policy does.
  const source = `const server = require("node:net").createServer().listen(0, "127.0.0.1", 1, () => {
    require("node:fs").writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const child = spawn(process.execPath, ["-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const queue: Socket[] = Array.from({ length: 4 }, () => connect(Number(port.toString()), "127.0.0.1").on("error", () => undefined));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await door(`127.0.0.1:${port.toString()}`, 300)).toBe("shut");
  for (const socket of queue) socket.destroy();
  child.kill("SIGKILL");
});

test("a name that nobody knows is no shut door", async () => {
  expect(await door("nobody.invalid:8443")).toMatch(/^failed: .*(ENOTFOUND|EAI_AGAIN)/);
});

test.each(["", "fnctl-egress", "fnctl-egress:", ":3128", "fnctl-egress:http"])("%j is no door", async (place) => {
  expect(await door(place)).toMatch(/^failed: .*no name with a port/);
});

test("a port that cannot be is no shut door", async () => {
  expect(await door("127.0.0.1:70000")).toMatch(/^failed/);
});

test.each([
  ["ECONNREFUSED", "shut"],
  ["EHOSTUNREACH", "shut"],
  ["ENETUNREACH", "shut"],
  ["EMFILE", "failed: EMFILE"],
  ["ECONNRESET", "failed: ECONNRESET"],
  [undefined, "failed: undefined"],
])("%s: %s", (code, state) => expect(shutBy(code)).toBe(state));

test("a door that is open once is not looked at until it is shut; what cannot be said is looked at again", async () => {
  const seen = (...states: string[]) => ({ want: "shut", look: async () => states.shift()!, isFinal: (state: string) => state === "open" });
  expect(await lookUntil(seen("open", "shut"), 3, 1)).toBe("open");
  expect(await lookUntil(seen("failed: EAI_AGAIN", "shut"), 3, 1)).toBe("shut");
  expect(await lookUntil(seen("failed: 1", "failed: 2", "failed: 3", "shut"), 3, 1)).toBe("failed: 3");
});
