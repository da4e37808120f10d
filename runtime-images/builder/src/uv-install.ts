// Installs a Python function's dependencies as wheels only, from one index (SECURITY G3, G4).
import { access, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";
import { runTool, type ToolResult } from "./tools.ts";
import { toolEnvironment, type Workspace } from "./workspace.ts";

const UV = "/opt/fnctl/builder/python/bin/uv";
const PYTHON = "/usr/bin/python3.13";
/** Lines of a requirements file that would name another place to install from. */
const FOREIGN_INDEX = /^\s*(?:--(?:extra-)?index-url|-i|--find-links|-f|--trusted-host)\b/m;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The folder with the installed packages; undefined when the function has no dependencies. */
export async function installPythonDependencies(workspace: Workspace): Promise<string | undefined> {
  const requirements = await requirementsFile(workspace);
  if (requirements === undefined) return undefined;
  const text = await readFile(requirements, "utf8");
  if (FOREIGN_INDEX.test(text))
    throw new BuildFailure(
      "requirements.txt names a package index of its own.",
      "Remove --index-url, --extra-index-url and --find-links: packages come from the index of this platform.",
    );
  if (!/^\s*[^#\s]/m.test(text)) return undefined;
  const target = join(workspace.scratch, "packages");
  await mkdir(target, { recursive: true });
  const hashes = /--hash=/.test(text) ? ["--require-hashes"] : [];
  const index = workspace.request.pypiIndex === undefined ? [] : ["--index-url", workspace.request.pypiIndex];
  await workspace.step("uv pip install", async () => {
    const result = await uv(workspace, [
      "pip",
      "install",
      "--no-config",
      "--python",
      PYTHON,
      "--target",
      target,
      "--only-binary",
      ":all:",
      "--link-mode",
      "hardlink",
      ...hashes,
      ...index,
      "-r",
      requirements,
    ]);
    if (result.code !== 0) throw uvFailure("uv pip install", result);
  });
  return target;
}

/** uv.lock goes before requirements.txt, because it alone says all versions; a pyproject.toml with dependencies needs one of them. */
async function requirementsFile(workspace: Workspace): Promise<string | undefined> {
  const { source, scratch } = workspace;
  if (await exists(join(source, "uv.lock"))) {
    const file = join(scratch, "exported.txt");
    const result = await uv(
      workspace,
      [
        "export",
        "--frozen",
        "--quiet",
        "--no-dev",
        "--no-emit-project",
        "--no-emit-workspace",
        "--no-header",
        "--no-annotate",
        "--format",
        "requirements-txt",
        "--output-file",
        file,
      ],
      source,
    );
    if (result.code !== 0) throw uvFailure("uv export", result);
    return file;
  }
  if (await exists(join(source, "requirements.txt"))) return join(source, "requirements.txt");
  if ((await exists(join(source, "pyproject.toml"))) && (await hasProjectDependencies(workspace))) {
    throw new BuildFailure(
      "pyproject.toml has dependencies, but there is no uv.lock.",
      "Run `uv lock` (or write a requirements.txt) and deploy again.",
    );
  }
  return undefined;
}

async function hasProjectDependencies(workspace: Workspace): Promise<boolean> {
  const script =
    "import sys, tomllib\ntry: data = tomllib.load(open(sys.argv[1], 'rb'))\nexcept tomllib.TOMLDecodeError as error: print(error, file=sys.stderr); sys.exit(2)\nsys.exit(0 if data.get('project', {}).get('dependencies') else 1)";
  const result = await runTool(PYTHON, ["-I", "-c", script, join(workspace.source, "pyproject.toml")], {
    cwd: workspace.scratch,
    env: toolEnvironment(workspace),
    signal: workspace.signal,
    emit: () => undefined,
  });
  if (result.code === 2) throw new BuildFailure(`pyproject.toml is not valid TOML: ${result.tail.join(" ")}`);
  return result.code === 0;
}

async function uv(workspace: Workspace, args: readonly string[], cwd = workspace.scratch): Promise<ToolResult> {
  const env = {
    ...toolEnvironment(workspace),
    UV_CACHE_DIR: join(workspace.scratch, "uv"),
    UV_PYTHON_DOWNLOADS: "never",
    UV_NO_PROGRESS: "1",
    UV_PYTHON: PYTHON,
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
