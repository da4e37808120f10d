// Measures the memory of an idle Node sandbox with all its processes, and how many can be idle at once.
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "@fnctl/control-plane/sandbox/testing/ask";
import type { Sandbox } from "@fnctl/control-plane/sandbox/driver";
import { PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { openHost } from "./cold.ts";
import { quantile, type Row } from "./rows.ts";

const COUNT = 30;
const MANY = 400;
const REST_MS = 8_000;
const AT_ONCE = 2;
const SERVER = `require("node:http").createServer((q, r) => r.end("hello")).listen(0, "127.0.0.1", () => console.log("up"))`;

/** Memory that is available without swapping (proc_meminfo(5)), bytes. */
async function available(): Promise<number> {
  await sleep(1_000);
  return Number(/^MemAvailable:\s+(\d+)/m.exec(await readFile("/proc/meminfo", "utf8"))?.[1]) * 1024;
}

async function startMany(count: number, start: () => Promise<Sandbox>): Promise<Sandbox[]> {
  const made: Sandbox[] = [];
  const worker = async () => {
    while (made.length + AT_ONCE <= count + 1) made.push(await start());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return made;
}

/** `out`: with a way out, and so with the program that resolves names. */
async function memoryOfEach(out: boolean): Promise<number> {
  const host = await openHost();
  async function start(): Promise<Sandbox> {
    const spec = host.spec({ egress: out });
    const folder = path.join(host.options.paths.egressDir, spec.id);
    if (out) {
      await mkdir(folder, { recursive: true });
      await writeFile(path.join(folder, "s"), ""); // nobody connects
    }
    return host.driver.start(spec);
  }
  try {
    const warm = await start(); // brings shared pages (binary, root file system) into memory
    await sleep(REST_MS); // what ended before gives its memory back little by little
    const before = await available();
    const started = await startMany(COUNT, start);
    const each = (before - (await available())) / started.length;
    await host.driver.stop(warm.id);
    return each / 1e6;
  } finally {
    await host.close();
  }
}

export async function memory(): Promise<Row[]> {
  const [without, having, floor] = [await memoryOfEach(false), await memoryOfEach(true), (await bareNode()) / 1e6];
  const common = { unit: "MB" as const, floor, floorWhat: "a bare node:http process", note: `${COUNT} instances` };
  return [
    { what: "memory per idle Node instance, all processes", value: without, goal: 35, ...common },
    { what: "the same with a way out", value: having, goal: 38, ...common },
  ];
}

async function bareNode(): Promise<number> {
  const start = async () => {
    const child = spawn(process.execPath, ["-e", SERVER], { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    return child;
  };
  const first = await start();
  const before = await available();
  const children = [];
  for (let i = 0; i < COUNT; i++) children.push(await start());
  const each = (before - (await available())) / COUNT;
  for (const child of [first, ...children]) child.kill("SIGKILL");
  return each;
}

export async function idleInstances(): Promise<Row[]> {
  const host = await openHost();
  try {
    const begun = performance.now();
    const started = await startMany(MANY, () => host.driver.start(host.spec()));
    const startMs = (performance.now() - begun) / started.length;
    const times: number[] = [];
    for (const instance of started) {
      const asked = performance.now();
      if ((await ask(instance, PROTOCOL_PATHS.health)).status === 200) times.push(performance.now() - asked);
    }
    return [
      { what: "idle instances alive, each answering at once", value: times.length, unit: "count", goal: MANY, atLeast: true },
      { what: "their answers, p50", value: quantile(times, 0.5), unit: "ms" },
      { what: "their answers, worst", value: Math.max(...times), unit: "ms" },
      { what: "start of each", value: startMs, unit: "ms" },
    ];
  } finally {
    await host.close();
  }
}
