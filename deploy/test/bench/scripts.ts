// Runs the benchmark scripts that stand beside the code they measure; each prints one JSON document.
import { spawn } from "node:child_process";
import path from "node:path";
import { createLargeStream } from "../src/large-stream.ts";
import type { Row } from "./rows.ts";

const root = path.resolve(import.meta.dirname, "../../..");

function script<T>(file: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(root, file)], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child
      .on("error", reject)
      .on("close", (code) => (code === 0 ? resolve(JSON.parse(out) as T) : reject(new Error(`${file} ended with ${code}`))));
  });
}

interface Throughput {
  ratio: number;
  cpuMicrosecondsPerRequest: { bare: number; ingress: number };
  requestsPerSecond: { bare: number; ingress: number };
}
export async function throughput(): Promise<Row[]> {
  const found = await script<Throughput>("gateway/bench/throughput.ts");
  const cpu = found.cpuMicrosecondsPerRequest;
  return [
    {
      what: "ingress throughput of a bare undici proxy's",
      value: found.ratio,
      unit: "x",
      goal: 0.85,
      atLeast: true,
      note: `${found.requestsPerSecond.ingress} and ${found.requestsPerSecond.bare} requests/s with the load on the same cores`,
    },
    { what: "ingress, processor time per request", value: cpu.ingress, unit: "µs", floor: cpu.bare, floorWhat: "bare undici proxy" },
  ];
}

interface Egress {
  connectMs: { bare: number; ours: number };
  cpuMicrosecondsPerMib: { bare: number; ours: number };
  throughputRatio: number;
  idleTunnels: number;
  idleMb: { bare: number; ours: number };
}
export async function egress(): Promise<Row[]> {
  const { connectMs, cpuMicrosecondsPerMib: cpu, throughputRatio, idleTunnels, idleMb } = await script<Egress>("gateway/bench/egress.ts");
  const bare = "bare CONNECT proxy";
  return [
    {
      what: "egress: connect, added by the proxy's checks",
      value: connectMs.ours - connectMs.bare,
      unit: "ms",
      goal: 1,
      note: `${connectMs.ours} ms`,
    },
    { what: `egress: throughput of a ${bare}'s`, value: throughputRatio, unit: "x", goal: 0.8, atLeast: true },
    { what: "egress: processor time per MiB", value: cpu.ours, unit: "µs", floor: cpu.bare, floorWhat: bare },
    {
      what: `egress: memory of ${idleTunnels} idle tunnels`,
      value: idleMb.ours,
      unit: "MB",
      floor: idleMb.bare,
      floorWhat: bare,
      goal: 150,
    },
  ];
}

/** A gateway that begins, until it has all; with as many tokens as routes. */
async function readyMs(): Promise<number> {
  const large = createLargeStream(2_000);
  try {
    await large.controlPlane({ routes: 100_000, tokens: 100_000 });
    return (await large.gateway()).wholeMs;
  } finally {
    large.close();
  }
}

interface Routes {
  lookupMicroseconds: number;
  updateMicroseconds: number;
  snapshotMs: number;
}
export async function routes(): Promise<Row[]> {
  const found = await script<Routes>("gateway/bench/routes.ts");
  return [
    { what: "100,000 routes: lookup", value: found.lookupMicroseconds, unit: "µs", goal: 5 },
    { what: "100,000 routes: update", value: found.updateMicroseconds, unit: "µs", goal: 1000 },
    { what: "100,000 routes: snapshot taken in", value: found.snapshotMs, unit: "ms" },
    { what: "gateway ready with 100,000 routes and as many tokens", value: await readyMs(), unit: "ms", goal: 5_000 },
  ];
}

type Side = { cpuMicros: number; ofBareCpu: number };
type Shim = Record<"node" | "python", { hello: Record<string, Side>; jsonEcho1KiB: Record<string, Side> } | { skipped: string }>;
export async function shim(): Promise<Row[]> {
  const found = await script<Shim>("runtime-images/bench/shim.ts");
  const rows: Row[] = [];
  for (const [language, result] of Object.entries(found)) {
    if ("skipped" in result) continue;
    for (const [kind, sides] of Object.entries(result)) {
      for (const [name, side] of Object.entries(sides)) {
        if (name === "bare") continue;
        rows.push({
          what: `shim ${language} ${name}, ${kind === "hello" ? "hello" : "1 KiB JSON echo"}, of the bare server`,
          value: side.ofBareCpu,
          unit: "x",
          goal: 0.8,
          atLeast: true,
          note: `${side.cpuMicros} µs, bare ${sides["bare"]?.cpuMicros ?? 0} µs`,
        });
      }
    }
  }
  return rows;
}
