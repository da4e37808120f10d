// Deploys the examples through the CLI, as a user would, and calls each once.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
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

export async function deployExamples(prepared: Prepared, progress: Progress): Promise<ExampleResult[]> {
  const names = existsSync(folder) ? (await readdir(folder)).toSorted() : [];
  const results: ExampleResult[] = [];
  for (const name of names.filter((entry) => existsSync(path.join(folder, entry, "fnctl.yaml")))) {
    results.push(await progress.step(`example ${name}`, () => deployExample(prepared, name)));
  }
  return results;
}

async function deployExample(prepared: Prepared, name: string): Promise<ExampleResult> {
  const cli = path.join(prepared.folders.state.app, "fnctl.mjs");
  const env = { ...process.env, FNCTL_CONFIG: prepared.settings.cliConfig, FNCTL_CONTEXT: prepared.settings.contextName, NO_COLOR: "1" };
  const fnctl = (args: string[]) => run(process.execPath, [cli, ...args], { env, cwd: path.join(folder, name) });
  try {
    const url = (await fnctl(["deploy"])).trim();
    const begun = performance.now();
    await fnctl(["invoke", name]);
    return { name, url, outcome: `ok, first call ${(performance.now() - begun).toFixed(0)} ms by the CLI` };
  } catch (error) {
    return { name, url: "", outcome: `failed: ${(error as Error).message.split("\n").slice(-3).join(" ")}` };
  }
}
