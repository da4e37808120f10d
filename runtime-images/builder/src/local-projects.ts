// Folders of the project that are asked for as packages. A build backend is a program of the project's own, so none is run: the folder goes on
// the path, and what its pyproject.toml lists is installed beside it.
import { stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { readPythonProject, type PythonProject } from "./python-project.ts";
import { normalName, parseRequirementLine, refuseAt } from "./requirement-line.ts";
import { addRequirement, inProject, type LocalFolder, type Requirements } from "./requirements.ts";
import type { Workspace } from "./workspace.ts";

/** Folders in all: a stop for mistakes. */
const MOST_FOLDERS = 100;
/** Sources of tool.uv and tool.poetry that are neither the index nor a path. */
const ELSEWHERE = ["git", "url", "file", "workspace", "index", "source"];

export interface LocalProjects {
  /** Folders below the code that Python looks for modules in, in this order. */
  roots: string[];
  /** Lines for uv; none of them names what is here already. */
  packages: string[];
}

export async function resolveLocalProjects(workspace: Workspace, asked: Requirements): Promise<LocalProjects> {
  const roots = new Set<string>();
  const own = new Set<string>();
  const seen = new Set<string>();
  // Its dependencies may be folders again, which come behind it.
  for (const folder of asked.folders) {
    const key = `${folder.path} ${folder.extras.join(",")}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (seen.size > MOST_FOLDERS) refuseAt(folder.from)(`more than ${MOST_FOLDERS} folders are asked for.`);
    for (const root of await importRoots(workspace, folder.path)) roots.add(root);
    if (asked.hashed) continue; // then each package is listed with its hash, those of the folders among them
    const project = await readPythonProject(workspace, folder.path);
    if (project?.name !== undefined) own.add(normalName(project.name));
    if (project === undefined || project.dynamic) noteUnknown(workspace, folder.path);
    else await addDependencies(workspace.source, folder, project, asked);
  }
  // What lies in the project is not looked for in the index: somebody else could have taken its name there.
  return { roots: [...roots], packages: asked.packages.filter(({ name }) => !own.has(normalName(name))).map(({ text }) => text) };
}

/** `src` when there is one, as build backends have it by convention, and the folder itself. */
async function importRoots({ source }: Workspace, folder: string): Promise<string[]> {
  const src = posix.join(folder, "src");
  const facts = await stat(join(source, src)).catch(() => undefined);
  return facts?.isDirectory() === true ? [src, folder] : [folder];
}

async function addDependencies(source: string, folder: LocalFolder, project: PythonProject, asked: Requirements): Promise<void> {
  const from = { file: posix.join(folder.path, "pyproject.toml") };
  const refuse = refuseAt(from);
  for (const text of [...project.dependencies, ...folder.extras.flatMap((extra) => project.extras[extra] ?? [])]) {
    const line = parseRequirementLine(text, from);
    if (line.kind !== "package") return refuse(`${JSON.stringify(text.slice(0, 100))} is not a dependency that is read here.`);
    const found = sourceOf(project, line.name);
    if (found === "elsewhere")
      refuse(`${line.name} comes from a place of its own.`, "Deploy the project's uv.lock, which says where everything comes from.");
    const path = normalName(line.name) === normalName(project.name ?? "") ? folder.path : found && inProject(folder.path, found, from);
    const extras = line.extras.length === 0 ? "" : `[${line.extras.join(",")}]`;
    const here = path === undefined ? line : parseRequirementLine(`${line.name}${extras} @ ./${path}`, from);
    await addRequirement(source, asked, here, from);
  }
}

/** The path that a dependency is taken from instead of the index. */
function sourceOf(project: PythonProject, name: string): string | undefined {
  const [, found] = Object.entries(project.sources).find(([key]) => normalName(key) === normalName(name)) ?? [];
  const tables = [found].flat().filter((value): value is Record<string, unknown> => typeof value === "object" && value !== null);
  const path = tables[0]?.["path"];
  if (tables.length === 1 && typeof path === "string") return path;
  return tables.some((value) => ["path", ...ELSEWHERE].some((key) => key in value)) ? "elsewhere" : undefined;
}

function noteUnknown({ emit }: Workspace, folder: string): void {
  const what = folder === "." ? "The project" : folder;
  const text = `${what} lists no dependencies in a [project] table of pyproject.toml; list them in requirements.txt, because nothing is built here.`;
  emit({ type: "log", stream: "stderr", text });
}
