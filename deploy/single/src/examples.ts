// Deploys the examples through the CLI, as a user would, and calls each once.
import { existsSync } from "node:fs";
import { cp, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Prepared } from "./platform.ts";
import type { Progress } from "./progress.ts";
import { run } from "./run.ts";

const folder = path.resolve(import.meta.dirname, "../../../examples");
export interface ExampleResult {
  name: string;
  url: string;
  outcome: string;
}

/** The platform that runs, and its CLI. */
type Running = Pick<Prepared, "settings"> & { folders: { state: Pick<Prepared["folders"]["state"], "app"> } };

/** They reach servers outside, which `--example-servers` plays. */
export const NEED_SERVERS = new Set(["orders-api", "weather-caller"]);

/** `authority`: PEM of the example servers' authority; undefined: they do not run. */
export async function deployExamples(prepared: Prepared, progress: Progress, authority: string | undefined): Promise<ExampleResult[]> {
  const names = existsSync(folder) ? (await readdir(folder)).toSorted() : [];
  const results: ExampleResult[] = [];
  for (const name of names.filter((entry) => existsSync(path.join(folder, entry, "fnctl.yaml")))) {
    if (NEED_SERVERS.has(name) && authority === undefined)
      results.push({ name, url: "", outcome: "not deployed, needs servers: npm run up -- --example-servers" });
    else results.push(await progress.step(`example ${name}`, () => deployExample(prepared, name, authority)));
  }
  return results;
}

/** A copy of the example with the authority beside its code, which is where a function has one of its own. */
async function withAuthority({ settings }: Running, name: string, authority: string): Promise<string> {
  const copy = path.join(settings.stateDir, "example-servers", name);
  await cp(path.join(folder, name), copy, { recursive: true });
  await writeFile(path.join(copy, "ca.pem"), authority);
  return copy;
}

export async function deployExample(prepared: Running, name: string, authority: string | undefined): Promise<ExampleResult> {
  const cli = path.join(prepared.folders.state.app, "fnctl.mjs");
  const env = { ...process.env, FNCTL_CONFIG: prepared.settings.cliConfig, FNCTL_CONTEXT: prepared.settings.contextName, NO_COLOR: "1" };
  const needsAuthority = authority !== undefined && NEED_SERVERS.has(name);
  const cwd = needsAuthority ? await withAuthority(prepared, name, authority) : path.join(folder, name);
  const fnctl = (args: string[]) => run(process.execPath, [cli, ...args], { env, cwd });
  try {
    const url = (await fnctl(["deploy"])).trim();
    const begun = performance.now();
    await fnctl(["invoke", "--fail", name]);
    return { name, url, outcome: `ok, first call ${(performance.now() - begun).toFixed(0)} ms by the CLI` };
  } catch (error) {
    return { name, url: "", outcome: `failed: ${(error as Error).message.split("\n").slice(-3).join(" ")}` };
  }
}
