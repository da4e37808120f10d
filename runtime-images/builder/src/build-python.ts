// A Python function: dependencies, byte code, and the layer's files. Layout: the user's files where they were, packages in .fnctl/python.
import { readdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";
import { findPythonEntry } from "./entry-file.ts";
import { LEFT_OUT, addFolder, type LayerFiles } from "./layer.ts";
import type { Entry } from "./protocol.ts";
import { PYTHON } from "./python-project.ts";
import { runTool, type ToolResult } from "./tools.ts";
import { installPythonDependencies } from "./uv-install.ts";
import { toolEnvironment, type Workspace } from "./workspace.ts";

/** The bootstrap puts it on sys.path (python/fnctl_bootstrap/protocol.py). */
const PACKAGES = ".fnctl/python";
/** Folders of the source that it puts there too, as a JSON list. */
const ROOTS = ".fnctl/import-roots.json";
const NOT_CODE = new Set([...LEFT_OUT, ".venv", "venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"]);

export async function buildPython(workspace: Workspace): Promise<{ entry: Entry; files: LayerFiles }> {
  const { source, request } = workspace;
  const file = await findPythonEntry(source, request.main);
  if (!file.endsWith(".py"))
    throw new BuildFailure(`${file} is not a Python file.`, "Set `main:` in fnctl.yaml to the module that defines the handler.");
  await workspace.step("check", () => checkSyntax(workspace, file));
  const { packages, roots } = await installPythonDependencies(workspace);
  await workspace.step("compile", () => compile(workspace, packages));

  const files: LayerFiles = new Map();
  await addFolder(files, source, "", (_path, name) => NOT_CODE.has(name));
  // Console scripts name an interpreter and are of no use to a function; the lock is uv's own.
  if (packages !== undefined) await addFolder(files, packages, PACKAGES, (path) => path === "bin" || path === ".lock");
  const paths = await importPaths(workspace, roots, file);
  if (paths.length > 0) files.set(ROOTS, Buffer.from(JSON.stringify(paths)));
  return { entry: request.handler === undefined ? { file } : { file, name: request.handler }, files };
}

/** A package in `src` imports itself by its own name, whether or not the project is also asked for as a package; unless `src` is one. */
async function importPaths({ source }: Workspace, roots: readonly string[], file: string): Promise<string[]> {
  const inSource = await readdir(join(source, "src")).catch((): string[] => []);
  const own = /^src\/[^/]+\//.test(file) && !inSource.includes("__init__.py") ? ["src"] : [];
  return [...new Set([...own, ...roots])].filter((root) => root !== ".");
}

async function checkSyntax(workspace: Workspace, file: string): Promise<void> {
  const script =
    "import sys\nname = sys.argv[1]\ntry: compile(open(name, 'rb').read(), name, 'exec')\nexcept SyntaxError as error: print(f'{name}:{error.lineno}:{error.offset}: {type(error).__name__}: {error.msg}', file=sys.stderr); sys.exit(1)";
  const result = await python(workspace, ["-c", script, file], workspace.source);
  if (result.code !== 0) throw new BuildFailure(result.tail.at(-1) ?? `${file} is not valid Python.`);
}

/**
 * A read-only code folder can keep no byte code, so it comes with the layer. `unchecked-hash` (PEP 552) makes it independent of file times and
 * spares the import a look at the source. What does not compile is left to fail where it is imported.
 */
async function compile(workspace: Workspace, packages: string | undefined): Promise<void> {
  await removeByteCode(workspace.source);
  const skipped = ["-x", "/(?:node_modules|\\.venv|venv|\\.git)/"];
  const jobs = [compileAll(workspace, workspace.source, "/function/code", [...skipped, workspace.source])];
  if (packages !== undefined) {
    const names = (await readdir(packages)).filter((name) => name !== "bin");
    // compileall's own `-j` wants semaphores in /dev/shm, which a builder need not have.
    const shares = Array.from({ length: availableParallelism() }, (_share, index) =>
      names.filter((_name, position) => position % availableParallelism() === index),
    );
    jobs.push(
      ...shares
        .filter((share) => share.length > 0)
        .map((share) =>
          compileAll(
            workspace,
            packages,
            `/function/code/${PACKAGES}`,
            share.map((name) => join(packages, name)),
          ),
        ),
    );
  }
  await Promise.all(jobs);
}

/** `root` is where the files lie now, `place` where tracebacks shall say they are. */
function compileAll(workspace: Workspace, root: string, place: string, what: readonly string[]): Promise<ToolResult> {
  return python({ ...workspace, emit: () => undefined }, [
    "-m",
    "compileall",
    "-qq",
    "--invalidation-mode",
    "unchecked-hash",
    "-s",
    root,
    "-p",
    place,
    ...what,
  ]);
}

async function removeByteCode(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  await Promise.all(
    entries
      .filter((entry) => entry.name === "__pycache__")
      .map((entry) => rm(join(entry.parentPath, entry.name), { recursive: true, force: true })),
  );
}

function python(workspace: Workspace, args: readonly string[], cwd = workspace.scratch): Promise<ToolResult> {
  // A fixed hash seed: marshalled sets of constants would come in another order each time.
  const env = { ...toolEnvironment(workspace), PYTHONHASHSEED: "0" };
  return runTool(PYTHON, ["-s", "-P", ...args], { cwd, env, signal: workspace.signal, emit: workspace.emit });
}
