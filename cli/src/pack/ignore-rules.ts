// Decides which files are not deployed: built-in rules, then .gitignore and .fnctlignore of each folder from the repository's root down. As
// with git, the deepest file with a matching rule decides; in one folder .fnctlignore comes after .gitignore and can re-include a file with
// `!`.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import ignore, { type Ignore } from "ignore";

/** Files that are not code or must not be sent. `!` in an ignore file re-includes one. */
const BUILT_IN = `
.git
.hg
.svn
.DS_Store
.idea
.vscode
.fnctl
.turbo
node_modules
npm-debug.log*
.venv
venv
__pycache__
*.pyc
.pytest_cache
.mypy_cache
.ruff_cache
.env
.env.*
# The configuration is sent beside the archive, so that a change of it alone uploads nothing.
/fnctl.yaml
.gitignore
.fnctlignore
`;
const FILES = [".gitignore", ".fnctlignore"];

export interface IgnoreLayer {
  /** Absolute folder that the patterns are relative to. */
  folder: string;
  rules: Ignore;
}

export async function folderLayer(folder: string, files: readonly string[] = FILES): Promise<IgnoreLayer | undefined> {
  const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), "utf8").catch(() => "")));
  return texts.every((text) => text === "") ? undefined : { folder, rules: ignore().add(texts.join("\n")) };
}

/** The layers that hold for the whole of `root`: built-in ones, and the .gitignore files of the folders above it in its repository. */
export async function outerLayers(root: string): Promise<IgnoreLayer[]> {
  const above: string[] = [];
  let folder = root;
  while (!existsSync(path.join(folder, ".git")) && path.dirname(folder) !== folder) above.unshift((folder = path.dirname(folder)));
  const inRepository = existsSync(path.join(folder, ".git"));
  const layers = await Promise.all((inRepository ? above : []).map((entry) => folderLayer(entry, [".gitignore"])));
  return [{ folder: root, rules: ignore().add(BUILT_IN) }, ...layers.filter((layer) => layer !== undefined)];
}

export function isIgnored(layers: readonly IgnoreLayer[], file: string, isFolder: boolean): boolean {
  for (const layer of layers.toReversed()) {
    const relative = path.relative(layer.folder, file).split(path.sep).join("/");
    const verdict = layer.rules.test(isFolder ? `${relative}/` : relative);
    if (verdict.ignored) return true;
    if (verdict.unignored) return false;
  }
  return false;
}
