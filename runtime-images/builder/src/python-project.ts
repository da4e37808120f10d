// What a pyproject.toml says, as data. Python reads it (the only TOML parser here) in isolated mode; nothing of the project is run.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";
import { runTool } from "./tools.ts";
import { toolEnvironment, type Workspace } from "./workspace.ts";

export const PYTHON = "/usr/bin/python3.13";
const MOST_BYTES = 1024 * 1024;
const SCRIPT =
  "import json, sys, tomllib\ntry: text = json.dumps(tomllib.load(open(sys.argv[1], 'rb')), default=str, allow_nan=False)\nexcept (ValueError, RecursionError) as error: print(error, file=sys.stderr); sys.exit(2)\nopen(sys.argv[2], 'w').write(text)";

export interface PythonProject {
  name: string | undefined;
  dependencies: string[];
  extras: Record<string, string[]>;
  /** Dependencies that only a build could tell. */
  dynamic: boolean;
  /** Names that do not come from the index, and where they come from instead. */
  sources: Record<string, unknown>;
  groups: string[];
  defaultGroups: unknown;
}

/** Of a folder of the source; undefined when it has no pyproject.toml. */
export async function readPythonProject(workspace: Workspace, folder: string): Promise<PythonProject | undefined> {
  const { source, scratch, signal } = workspace;
  const file = join(source, folder, "pyproject.toml");
  const name = join(folder, "pyproject.toml");
  const facts = await stat(file).catch(() => undefined);
  if (facts === undefined) return undefined;
  if (facts.size > MOST_BYTES) throw new BuildFailure(`${name} has more than ${MOST_BYTES / 1024} KiB.`);
  const output = join(scratch, "pyproject.json");
  const run = { cwd: scratch, env: toolEnvironment(workspace), signal, emit: () => undefined };
  const result = await runTool(PYTHON, ["-I", "-c", SCRIPT, file, output], run);
  if (result.code !== 0) throw new BuildFailure(`${name} is not valid TOML: ${result.tail.join(" ")}`);
  return toProject(JSON.parse(await readFile(output, "utf8")));
}

function toProject(document: unknown): PythonProject {
  const project = table(document, "project");
  const uv = table(table(document, "tool"), "uv");
  const optional = Object.entries(table(project, "optional-dependencies")).map(([extra, list]) => [extra, strings(list)] as const);
  return {
    name: typeof project["name"] === "string" ? project["name"] : undefined,
    dependencies: strings(project["dependencies"]),
    extras: Object.fromEntries(optional),
    dynamic: document === undefined || Object.keys(project).length === 0 || strings(project["dynamic"]).includes("dependencies"),
    sources: { ...table(table(table(document, "tool"), "poetry"), "dependencies"), ...table(uv, "sources") },
    groups: Object.keys(table(document, "dependency-groups")),
    defaultGroups: uv["default-groups"],
  };
}

function table(value: unknown, key: string): Record<string, unknown> {
  const inner = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  return typeof inner === "object" && inner !== null && !Array.isArray(inner) ? (inner as Record<string, unknown>) : {};
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
