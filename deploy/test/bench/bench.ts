// `npm run bench [-- --only NAME] [-- --json]`: every figure beside its floor, measured in the same run. Never part of the tests.
import { parseArgs } from "node:util";
import { coldEmpty, coldPool } from "./cold.ts";
import { deployPhases, deploysAtOnce } from "./deploy.ts";
import { egressRules } from "./egress-rules.ts";
import { examples } from "./examples.ts";
import { idleInstances, memory } from "./memory.ts";
import type { Row } from "./rows.ts";
import { printTable } from "./rows.ts";
import { egress, routes, shim, throughput } from "./scripts.ts";
import { upAgain } from "./up.ts";
import { warm } from "./warm.ts";

interface Benchmark {
  run(): Promise<Row[]>;
  what: string;
  /** Takes minutes or gigabytes, so it runs only when asked for by name. */
  byNameOnly?: true;
}
const BENCHMARKS: Record<string, Benchmark> = {
  "cold-pool": { run: coldPool, what: "first request of a version that no instance runs; a generic sandbox waits" },
  "cold-empty": { run: coldEmpty, what: "the same with the pool empty" },
  warm: { run: warm, what: "what the platform adds to a warm request" },
  throughput: { run: throughput, what: "processor time of ingress per request" },
  deploy: { run: deployPhases, what: "fnctl deploy without dependencies, by phase" },
  deploys: { run: deploysAtOnce, what: "twelve deploys without dependencies at once" },
  up: { run: upAgain, what: "npm run up, first and again" },
  memory: { run: memory, what: "memory of the machine per idle instance" },
  shim: { run: shim, what: "what the bootstraps cost inside the sandbox" },
  egress: { run: egress, what: "tunnels through the egress proxy" },
  "egress-rules": { run: egressRules, what: "a change of rules, from the request to open connections" },
  routes: { run: routes, what: "100,000 routes in one ingress" },
  examples: { run: examples, what: "what each example costs", byNameOnly: true },
  idle: { run: idleInstances, what: "400 idle instances, each answering", byNameOnly: true },
};

const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "boolean" }, help: { type: "boolean" } } });
const only = values.only?.split(",");
const unknown = only?.filter((name) => BENCHMARKS[name] === undefined) ?? [];
if (values.help === true || unknown.length > 0) {
  const list = Object.entries(BENCHMARKS).map(([name, { what }]) => `  ${name.padEnd(12)}${what}`);
  process.stderr.write(
    `${unknown.length > 0 ? `Unknown benchmark: ${unknown.join(", ")}\n` : ""}npm run bench [-- --only NAME,NAME] [-- --json]\n${list.join("\n")}\n`,
  );
  process.exit(values.help === true ? 0 : 2);
}

const rows: Row[] = [];
for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
  if (only === undefined ? benchmark.byNameOnly === true : !only.includes(name)) continue;
  process.stderr.write(`· ${name}: ${benchmark.what}\n`);
  const made = await benchmark.run();
  rows.push(...made.map((row) => ({ benchmark: name, ...row })));
  if (values.json !== true) process.stdout.write(printTable(made));
}
if (values.json === true) process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), rows }, null, 2)}\n`);
process.exit(0); // pools of closed platforms may hold the event loop
