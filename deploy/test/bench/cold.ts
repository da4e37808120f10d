// Cold starts through the whole platform, request in to first byte out, beside the bare work of a sandbox in the same run.
import { readFile, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { ask, init } from "@fnctl/control-plane/sandbox/testing/ask";
import { createRunscHost, type RunscHost } from "@fnctl/control-plane/sandbox/runsc/testing/runsc-host";
import { PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { startPlatform, TENANT, type BenchPlatform } from "./platform.ts";
import { quantile, type Row } from "./rows.ts";

/** Every version's instance ends a second after its last request, so that the next one is cold again. */
const SETTINGS = "access: public\nidleTimeout: 1s\n";
/** As many rules as a function with several services has. */
const RULES = `egress: { allow: [${Array.from({ length: 10 }, (_, i) => `service-${i}.example.com`).join(", ")}] }\n`;
const HELLO = `export default { fetch: () => new Response("hello") };\n`;
const FUNCTIONS = 8;
const ROUNDS = 5;
const EMPTY_ROUNDS = 10;
/** Instances of each runtime that the platform keeps ready (FNCTL_POOL_SIZE), two runtimes. */
const POOLED = 4;

export async function openHost(): Promise<RunscHost> {
  const { binary, missing } = findRunsc();
  if (missing !== undefined) throw new Error(missing);
  return createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
}

/** Milliseconds until the first byte, over a connection that is open already, and the gateway's own figure for the cold start. */
async function firstByte(port: number, name: string): Promise<{ ms: number; coldMs: number }> {
  const client = new Client(`http://127.0.0.1:${port}`);
  const open = await client.request({ path: "/healthz-of-nobody", method: "GET" }); // only opens the connection
  await open.body.dump();
  const begun = performance.now();
  const answer = await client.request({ path: `/fn/${TENANT}/${name}/`, method: "GET", headers: { host: `localhost:${port}` } });
  const ms = performance.now() - begun;
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${name}: ${answer.statusCode} ${text}`);
  await client.destroy();
  const coldMs = Number(/cold;dur=([\d.]+)/.exec(String(answer.headers["server-timing"]))?.[1] ?? 0);
  if (coldMs === 0) throw new Error(`${name} was not cold`);
  return { ms, coldMs };
}

/** The work that no platform can avoid: bind the code, tell the bootstrap to import it, send one request. */
async function bareSpecialisation(host: RunscHost): Promise<number> {
  const [started, image] = await Promise.all([host.driver.start(host.spec()), host.place({ "index.mjs": HELLO })]);
  await sleep(300);
  const begun = performance.now();
  const instance = await host.driver.load(started.id, image);
  await init(instance, image);
  const answer = await ask(instance, "/");
  const ms = performance.now() - begun;
  if (answer.text !== "hello") throw new Error(answer.text);
  await host.driver.stop(started.id);
  return ms;
}

async function samples(platform: BenchPlatform, names: readonly string[], before: (name: string) => Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  for (const name of names) {
    await platform.settled(POOLED);
    await before(name);
    await sleep(200); // lets the machine come to rest
    found.push((await firstByte(platform.port, name)).ms);
  }
  return found;
}

export async function coldPool(): Promise<Row[]> {
  const platform = await startPlatform();
  const host = await openHost();
  try {
    const names = Array.from({ length: FUNCTIONS }, (_, index) => `hello-${index}`);
    for (const name of names) await platform.deploy(name, { "index.js": HELLO }, SETTINGS);
    const ruled = names.map((name) => `${name}-ruled`);
    for (const name of ruled) await platform.deploy(name, { "index.js": HELLO }, `${SETTINGS}${RULES}`);
    await samples(platform, names.slice(0, 2), async () => undefined); // warms up gateway and control plane
    const bare: number[] = [];
    const all: number[] = [];
    const withRules: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      all.push(...(await samples(platform, names, async () => bare.push(await bareSpecialisation(host)))));
      withRules.push(...(await samples(platform, ruled, async () => bare.push(await bareSpecialisation(host)))));
    }
    const unpacked = await samples(platform, names, () => empty(path.join(platform.stateDir, "layers")));
    const floor = { floor: quantile(bare, 0.5), floorWhat: "driver.load + init + request, no platform" };
    const rows: Row[] = [
      {
        what: "cold start from the pool, p50",
        value: quantile(all, 0.5),
        unit: "ms",
        goal: 15,
        ...floor,
        note: `${all.length} samples, ${FUNCTIONS} versions`,
      },
      {
        what: "cold start from the pool, p99",
        value: quantile(all, 0.99),
        unit: "ms",
        goal: 40,
        floor: quantile(bare, 0.99),
        floorWhat: "same",
      },
      { what: "same, of versions with ten egress rules, p50", value: quantile(withRules, 0.5), unit: "ms", goal: 17, ...floor },
      { what: "same, layer not unpacked, p50", value: quantile(unpacked, 0.5), unit: "ms" },
    ];
    return [...rows, ...(await draining(platform, names)), ...(await packages(platform))];
  } finally {
    await host.close();
    await platform.stop();
  }
}

/** Empties a folder; the folder itself stays, because the driver has it mounted. */
async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(path.join(folder, name), { recursive: true });
}

/** More versions are called at once than the pool has sandboxes, so the last ones wait for a start. */
async function draining(platform: BenchPlatform, names: readonly string[]): Promise<Row[]> {
  await platform.settled(POOLED);
  const times = await Promise.all(names.map(async (name) => (await firstByte(platform.port, name)).ms));
  return [
    { what: `${names.length} versions called at once, pool of 2: first`, value: Math.min(...times), unit: "ms" },
    { what: `${names.length} versions called at once, pool of 2: last`, value: Math.max(...times), unit: "ms" },
  ];
}

async function packages(platform: BenchPlatform): Promise<Row[]> {
  const examples = path.resolve(import.meta.dirname, "../../../examples");
  const rows: Row[] = [];
  for (const example of ["thumbnailer", "numpy-stats"]) {
    const folder = path.join(examples, example);
    const files: Record<string, string> = {};
    for (const name of await readdir(folder))
      if (!["fnctl.yaml", "node_modules"].includes(name)) files[name] = await readFile(path.join(folder, name), "utf8");
    const runtime = files["requirements.txt"] === undefined ? "" : "runtime: python3.13\n";
    await platform.deploy(example, files, `${SETTINGS}${runtime}`);
    const times: number[] = [];
    for (let round = 0; round < 3; round++) times.push(...(await samples(platform, [example], async () => undefined)));
    rows.push({ what: `cold start of ${example} (import of its packages included), p50`, value: quantile(times, 0.5), unit: "ms" });
  }
  return rows;
}

/** Time from the start of a sandbox to its first answer, with only the driver. */
async function bareStart(host: RunscHost): Promise<number> {
  const begun = performance.now();
  const instance = await host.driver.start(host.spec());
  await ask(instance, PROTOCOL_PATHS.health);
  const ms = performance.now() - begun;
  await host.driver.stop(instance.id);
  return ms;
}

export async function coldEmpty(): Promise<Row[]> {
  const platform = await startPlatform({ FNCTL_POOL_SIZE: "0" });
  const host = await openHost();
  try {
    await platform.deploy("hello", { "index.js": HELLO }, SETTINGS);
    const bare: number[] = [];
    const all: number[] = [];
    for (let round = 0; round < EMPTY_ROUNDS; round++) {
      bare.push(await bareStart(host));
      await platform.settled(0);
      await sleep(200);
      all.push((await firstByte(platform.port, "hello")).ms);
    }
    const floor = { floor: quantile(bare, 0.5), floorWhat: "sandbox start to its first answer" };
    return [
      { what: "cold start, pool empty, p50", value: quantile(all, 0.5), unit: "ms", goal: 400, ...floor, note: `${all.length} samples` },
      { what: "cold start, pool empty, worst", value: Math.max(...all), unit: "ms", floor: Math.max(...bare), floorWhat: "same" },
    ];
  } finally {
    await host.close();
    await platform.stop();
  }
}
