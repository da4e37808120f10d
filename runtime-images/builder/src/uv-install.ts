// Installs a Python function's dependencies as wheels only, from one index (SECURITY G3, G4). uv reads no file of the project: what it is told
// stands in files of ours, made of what requirements.ts and python-project.ts understood: it builds `-e` and folders whatever it is told about wheels.
import { access, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";
import { resolveLocalProjects } from "./local-projects.ts";
import { PYTHON, readPythonProject, type PythonProject } from "./python-project.ts";
import { readRequirements, readUtf8, type Requirements } from "./requirements.ts";
import { runTool, type ToolResult } from "./tools.ts";
import { toolEnvironment, type Workspace } from "./workspace.ts";

const UV = "/opt/fnctl/builder/python/bin/uv";

export interface PythonDependencies {
  /** The folder with the installed packages; undefined when there are none. */
  packages: string | undefined;
  /** Folders of the source that Python looks for modules in, besides those it looks in anyway. */
  roots: string[];
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

export async function installPythonDependencies(workspace: Workspace): Promise<PythonDependencies> {
  const asked = await requirements(workspace);
  if (asked === undefined) return { packages: undefined, roots: [] };
  const { roots, packages } = await resolveLocalProjects(workspace, asked);
  return { roots, packages: packages.length === 0 ? undefined : await install(workspace, packages, asked) };
}

async function install(workspace: Workspace, packages: string[], { constraints, hashed }: Requirements): Promise<string> {
  const { scratch, request, step } = workspace;
  const target = join(scratch, "packages");
  await mkdir(target, { recursive: true });
  await writeFile(join(scratch, "requirements.txt"), packages.map((line) => `${line}\n`).join(""));
  await writeFile(join(scratch, "constraints.txt"), constraints.map((line) => `${line}\n`).join(""));
  const wheels = ["--only-binary", ":all:", "--link-mode", "hardlink"];
  const hashes = hashed ? ["--require-hashes"] : [];
  const index = request.pypiIndex === undefined ? [] : ["--index-url", request.pypiIndex];
  const files = ["-r", "requirements.txt", ...(constraints.length === 0 ? [] : ["-c", "constraints.txt"])];
  await step("uv pip install", async () => {
    const args = ["pip", "install", "--no-config", "--python", PYTHON, "--target", target, ...wheels, ...hashes, ...index, ...files];
    const result = await uv(workspace, args, scratch);
    if (result.code !== 0) throw uvFailure("uv pip install", result);
  });
  return target;
}

/** uv.lock goes before requirements.txt, because it alone says all versions; a pyproject.toml with dependencies needs one of them. */
async function requirements(workspace: Workspace): Promise<Requirements | undefined> {
  const { source } = workspace;
  if (await exists(join(source, "uv.lock"))) return exportLock(workspace);
  const name = "requirements.txt";
  if (await exists(join(source, name))) return readRequirements(source, name, await readUtf8(join(source, name), name));
  const project = await readPythonProject(workspace, ".");
  if (project === undefined || project.dependencies.length === 0) return undefined;
  throw new BuildFailure(
    "pyproject.toml has dependencies, but there is no uv.lock.",
    "Run `uv lock` (or write a requirements.txt) and deploy again.",
  );
}

/** In a folder of its own, which holds the lock and no more of pyproject.toml than uv needs to read it: no settings, no environment. */
async function exportLock(workspace: Workspace): Promise<Requirements> {
  const { source, scratch } = workspace;
  const project = await readPythonProject(workspace, ".");
  if (project === undefined) throw new BuildFailure("There is a uv.lock, but no pyproject.toml.", "Deploy both.");
  const folder = join(scratch, "locked");
  await mkdir(folder, { recursive: true });
  await cp(join(source, "uv.lock"), join(folder, "uv.lock"));
  await writeFile(join(folder, "pyproject.toml"), projectToml(project));
  const format = ["--no-header", "--no-annotate", "--format", "requirements-txt", "--output-file", "exported.txt"];
  const result = await uv(workspace, ["export", "--frozen", "--no-config", "--quiet", "--no-dev", ...format], folder);
  if (result.code !== 0) throw uvFailure("uv export", result);
  // A lock has a hash for all that does not lie in the project.
  return { ...(await readRequirements(source, "uv.lock", await readFile(join(folder, "exported.txt"), "utf8"), false)), hashed: true };
}

/** A JSON string is a TOML string, and a list of them a TOML list. */
function projectToml({ name, groups, defaultGroups }: PythonProject): string {
  const root = name === undefined ? "[tool.uv.workspace]\nmembers = []\n" : `[project]\nname = ${JSON.stringify(name)}\nversion = "0"\n`;
  const chosen = defaultGroups === undefined ? "" : `[tool.uv]\ndefault-groups = ${JSON.stringify(defaultGroups)}\n`;
  return `${root}${chosen}[dependency-groups]\n${groups.map((group) => `${JSON.stringify(group)} = []\n`).join("")}`;
}

async function uv(workspace: Workspace, args: readonly string[], cwd: string): Promise<ToolResult> {
  const env = {
    ...toolEnvironment(workspace),
    UV_CACHE_DIR: join(workspace.scratch, "uv"),
    UV_PYTHON_DOWNLOADS: "never",
    UV_NO_PROGRESS: "1",
    UV_PYTHON: PYTHON,
    // It would note beside each wheel when and from where it came: other bytes each time.
    UV_NO_INSTALLER_METADATA: "1",
  };
  return runTool(UV, args, { cwd, env, signal: workspace.signal, emit: workspace.emit });
}

function uvFailure(what: string, result: ToolResult): BuildFailure {
  const text = result.tail
    .map((line) => line.replace(/^[\s│╰─▶×·]+/u, "").trim())
    .filter((line) => line !== "")
    .slice(-6)
    .join(" ");
  const hint = /no (?:usable|source)|only-binary|no wheels/i.test(text)
    ? "Only packages with a wheel for CPython 3.13 on Linux x86_64 can be installed; choose a version that has one."
    : undefined;
  return new BuildFailure(`${what} failed: ${text || "see the build log"}`, hint);
}
