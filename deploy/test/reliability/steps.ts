// What scenarios are made of.
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Stage, Tenant } from "./scenario.ts";

export const fixture = (name: string): string => readFileSync(path.resolve(import.meta.dirname, "../fixtures", name), "utf8");
export const HELLO = `export default { fetch: () => new Response("hello") };\n`;

export async function deployed(
  { client, slug }: Tenant,
  name: string,
  files: Record<string, string>,
  config: Record<string, unknown> = {},
): Promise<void> {
  const { state, problem } = await client.deploy(name, files, config);
  if (state !== "succeeded") throw new Error(`${slug}/${name}: ${state} ${problem?.detail ?? ""}`);
}
export const removed = async ({ client }: Tenant, ...names: string[]): Promise<void> => {
  for (const name of names) await client.api("DELETE", `/v1/functions/${name}`);
};

async function warm({ client }: Tenant): Promise<string | undefined> {
  const answer = await client.call("quiet");
  const text = await answer.text();
  return answer.status === 200 ? undefined : `${answer.status} ${text.slice(0, 200)}`;
}
export const withQuiet = ({ neighbour }: Stage): Promise<void> => deployed(neighbour, "quiet", { "index.js": HELLO }, { min: 1 });
export const WARM = { ask: warm, pauseMs: 5, clients: 2 };

/** Sends requests, `count` at a time, until the returned function is called; the answers do not matter. */
export function again(count: number, ask: () => Promise<unknown>, pauseMs = 0): () => Promise<void> {
  let ended = false;
  const all = Array.from({ length: count }, async () => {
    while (!ended) {
      await ask().catch(() => undefined);
      await sleep(pauseMs);
    }
  });
  return async () => {
    ended = true;
    await Promise.race([Promise.all(all), sleep(5_000)]);
  };
}
