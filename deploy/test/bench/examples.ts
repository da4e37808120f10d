// Measures each example: build time, image size, cold and warm time. The README shows this table.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { Client } from "undici";
import { NEED_SERVERS } from "../../single/src/examples.ts";
import { startPlatform, TENANT, type BenchPlatform } from "./platform.ts";
import { quantile, type Row } from "./rows.ts";

const folder = path.resolve(import.meta.dirname, "../../../examples");
const COLD = 3;
const WARM = 30;

/** The example's own settings except the idle time, because the function must go cold between two samples. */
async function sourceOf(name: string): Promise<{ files: Record<string, string>; settings: string }> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(path.join(folder, name), { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile()) files[path.relative(path.join(folder, name), file)] = await readFile(file, "utf8");
  }
  const settings = files["fnctl.yaml"]!.replace(/^name:.*$/m, "");
  delete files["fnctl.yaml"];
  return { files, settings: `${settings}idleTimeout: 1s\n` };
}

async function request(platform: BenchPlatform, name: string, authorization?: string): Promise<{ ms: number; text: string }> {
  const client = new Client(`http://127.0.0.1:${platform.port}`);
  const begun = performance.now();
  const target = authorization === undefined ? `/fn/${TENANT}/${name}/` : `/v1/functions/${name}/versions?limit=1`;
  const headers = { host: `localhost:${platform.port}`, ...(authorization === undefined ? {} : { authorization }) };
  const { statusCode, body } = await client.request({ path: target, method: "GET", headers });
  const ms = performance.now() - begun;
  // An endless stream is cut after its first bytes; a webhook refuses unsigned requests, which counts as an answer too.
  const text = name === "sse-clock" && authorization === undefined ? "" : await body.text();
  await client.destroy();
  if (statusCode >= 500) throw new Error(`${name}: ${statusCode} ${text}`);
  return { ms, text };
}

async function measure(platform: BenchPlatform, name: string): Promise<Row[]> {
  const { files, settings } = await sourceOf(name);
  const events = await platform.deploy(name, files, settings);
  const build = events.find(({ type, phase, state }) => type === "phase" && phase === "build" && state === "done")?.ms ?? Number.NaN;
  const cold: number[] = [];
  for (let i = 0; i < COLD; i++) {
    await platform.settled(4);
    cold.push((await request(platform, name)).ms);
  }
  const warm: number[] = [];
  for (let i = 0; i < WARM; i++) warm.push((await request(platform, name)).ms);
  const { text } = await request(platform, name, `Bearer ${platform.token}`);
  const bytes = (JSON.parse(text) as { items: { imageBytes: number }[] }).items[0]!.imageBytes;
  return [
    { what: `${name}: build`, value: build, unit: "ms" },
    { what: `${name}: image, base included`, value: bytes / 1e6, unit: "MB" },
    { what: `${name}: cold`, value: quantile(cold, 0.5), unit: "ms" },
    { what: `${name}: warm`, value: quantile(warm, 0.5), unit: "ms" },
  ];
}

export async function examples(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const rows: Row[] = [];
    // What waits for servers of ours outside would be their figure. `fastapi-app` comes before `storefront`, which calls it.
    const names = (await readdir(folder)).toSorted().filter((name) => !NEED_SERVERS.has(name));
    for (const name of names) rows.push(...(await measure(platform, name)));
    return rows;
  } finally {
    await platform.stop();
  }
}
