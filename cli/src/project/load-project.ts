// Finds and reads the project's `fnctl.yaml`.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { CliError, usage } from "../errors/cli-error.ts";
import { nearest } from "./nearest.ts";
import { parseProject, PROJECT_FILE, type ProjectFunction } from "./read-project.ts";

export interface Project {
  file: string;
  /** Absolute folder of the file. */
  root: string;
  functions: ProjectFunction[];
}

export async function loadProject(cwd: string, asked?: string): Promise<Project> {
  const shown = asked ?? PROJECT_FILE;
  const file = path.resolve(cwd, shown);
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT")
      throw new CliError("INVALID_CONFIG", `There is no ${shown} in ${cwd}.`, { next: "fnctl init", cause: error });
    throw error;
  });
  return { file, root: path.dirname(file), functions: parseProject(text, shown) };
}

/** The functions with these names; all functions when no name is given. */
export function selectFunctions(project: Project, names: readonly string[]): ProjectFunction[] {
  const known = project.functions.map((entry) => entry.name);
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw usage(
      `${path.basename(project.file)} has no function ${name}; it has ${known.join(", ")}.`,
      `fnctl deploy ${near ?? known[0] ?? ""}`,
    );
  }
  return names.length === 0 ? project.functions : project.functions.filter((entry) => names.includes(entry.name));
}

/** The given name, or the name of the folder's only function. */
export async function functionName(cwd: string, given: string | undefined, command: string): Promise<string> {
  if (given !== undefined) return given;
  const project = await loadProject(cwd).catch((error: unknown) => {
    if (error instanceof CliError && error.options.next === "fnctl init") return undefined;
    throw error;
  });
  const [only, ...others] = project?.functions ?? [];
  if (only === undefined) throw usage(`Which function? There is no ${PROJECT_FILE} here that says it.`, `fnctl ${command} NAME`);
  if (others.length > 0)
    throw usage(
      `Which function? ${PROJECT_FILE} has ${[only, ...others].map((entry) => entry.name).join(", ")}.`,
      `fnctl ${command} ${only.name}`,
    );
  return only.name;
}
