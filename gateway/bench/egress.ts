// The egress proxy beside a bare CONNECT proxy, in the same run: time to connect, processor time per byte, memory of idle tunnels.
// `node egress.ts` prints one JSON document.
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [CONNECTS, IDLE, ROUNDS, MIB] = [2_000, 5_000, 7, 256];
const TARGET = "a.bench.example";
const CHUNK = Buffer.alloc(64 * 1024, "x");
const folder = mkdtempSync(join(tmpdir(), "egb-"));

/** Speaks first, one byte; a number of MiB that it is asked for follows. */
const upstream = createServer((socket) => {
  socket.on("error", () => undefined).write("!");
  socket.once("data", (asked) => {
    let left = Number(asked.toString()) * 16;
    const more = (): void => {
      while (left > 0) {
        left -= 1;
        if (!socket.write(CHUNK)) return void socket.once("drain", more);
      }
      socket.end();
    };
    more();
  });
});
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const { port } = upstream.address() as AddressInfo;

interface Proxy {
  process: ChildProcess;
  socket: string;
}
async function start(file: string, args: string[], socket: string): Promise<Proxy> {
  const child = fork(join(import.meta.dirname, file), args);
  await new Promise((resolve) => void child.once("message", resolve));
  return { process: child, socket };
}
function ask<T>({ process: child }: Proxy, what: "cpu" | "memory"): Promise<T> {
  return new Promise((resolve) => {
    child.once("message", (value) => resolve(value as T));
    child.send(what);
  });
}

/** Resolves when the upstream's first byte is there. */
function open({ socket: path }: Proxy): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(`CONNECT ${TARGET}:${port} HTTP/1.1\r\nhost: ${TARGET}:${port}\r\n\r\n`));
    let seen = "";
    const look = (chunk: Buffer): void => {
      seen += chunk.toString("latin1");
      if (!seen.endsWith("\r\n\r\n!")) return;
      socket.off("data", look);
      resolve(socket);
    };
    socket.on("data", look).on("error", reject);
  });
}
async function connectMs(proxy: Proxy): Promise<number> {
  const begun = performance.now();
  const socket = await open(proxy);
  const ms = performance.now() - begun;
  socket.destroy();
  return ms;
}
/** Processor time of the proxy, microseconds for each MiB. */
async function carry(proxy: Proxy): Promise<number> {
  const socket = await open(proxy);
  const spent = async (): Promise<number> => {
    const { user, system } = await ask<NodeJS.CpuUsage>(proxy, "cpu");
    return user + system;
  };
  const before = await spent();
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length)).write(String(MIB));
  await new Promise((resolve) => socket.once("end", resolve));
  if (bytes !== MIB * 1024 * 1024) throw new Error(`${bytes} bytes came`);
  return ((await spent()) - before) / MIB;
}
async function idleMb(proxy: Proxy): Promise<number> {
  const before = await ask<number>(proxy, "memory");
  const sockets: Socket[] = [];
  for (let i = 0; i < IDLE; i += 50) sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => open(proxy)))));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const mb = ((await ask<number>(proxy, "memory")) - before) / 1e6;
  for (const socket of sockets) socket.destroy();
  return mb;
}
const median = (list: number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!;
const round = (value: number): number => Number(value.toFixed(3));

const bare = await start("bare-connect-proxy.ts", [join(folder, "bare"), String(port)], join(folder, "bare"));
const ours = await start("egress-under-test.ts", [folder, String(port)], join(folder, "root/bench/s"));
const connects = { bare: [] as number[], ours: [] as number[] };
for (let i = 0; i < CONNECTS; i += 1) for (const [name, proxy] of [["bare", bare], ["ours", ours]] as const) connects[name].push(await connectMs(proxy)); // oxfmt-ignore
const carried = { bare: [] as number[], ours: [] as number[] };
for (const proxy of [bare, ours]) await carry(proxy);
for (let i = 0; i < ROUNDS; i += 1) for (const [name, proxy] of [["bare", bare], ["ours", ours]] as const) carried[name].push(await carry(proxy)); // oxfmt-ignore
const idle = { bare: await idleMb(bare), ours: await idleMb(ours) };
for (const proxy of [bare, ours]) proxy.process.kill("SIGKILL");
upstream.close();
rmSync(folder, { recursive: true, force: true });

process.stdout.write(
  `${JSON.stringify({
    connectMs: { bare: round(median(connects.bare)), ours: round(median(connects.ours)) },
    cpuMicrosecondsPerMib: { bare: round(median(carried.bare)), ours: round(median(carried.ours)) },
    throughputRatio: round(median(carried.bare.map((micros, i) => micros / carried.ours[i]!))),
    idleTunnels: IDLE,
    idleMb: { bare: round(idle.bare), ours: round(idle.ours) },
  })}\n`,
);
process.exit(0);
