// The functions that the suites deploy: source files in `fixtures/`, used unchanged.
import { readFileSync } from "node:fs";
import path from "node:path";
import { deploy } from "./api.ts";

const folder = path.resolve(import.meta.dirname, "../fixtures");
export const fixture = (file: string): string => readFileSync(path.join(folder, file), "utf8");

/** Deploys one fixture as a function; throws the build's problem and log when that fails. */
export async function deployFixture(name: string, file: string, config: Record<string, unknown> = {}, as?: string): Promise<void> {
  const [main, runtime] = file.endsWith(".py") ? ["main.py", "python3.13"] : ["index.js", "node24"];
  const end = await deploy(name, { [main]: fixture(file) }, { runtime, ...config }, as);
  if (end.state !== "succeeded") throw new Error(`${name}: ${JSON.stringify(end.problem)}\n${end.log}`);
}
