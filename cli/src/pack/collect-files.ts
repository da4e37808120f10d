// Walks the source folder. Only regular files are taken; any other kind of file is an error and is not skipped.
import { lstat, readdir } from "node:fs/promises";
import path from "node:path";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { folderLayer, isIgnored, outerLayers, type IgnoreLayer } from "./ignore-rules.ts";
import { checkCollisions, checkPath, refuse } from "./path-rules.ts";

export interface SourceFile {
  /** Relative to the source folder, with `/`. */
  name: string;
  absolute: string;
  executable: boolean;
}

/** Sorted by name, byte by byte, so that the archive does not depend on the file system's order or the user's language. */
export async function collectFiles(root: string): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  await walk(root, root, await outerLayers(root), found);
  if (found.length === 0)
    throw refuse(`There is nothing to deploy in ${root}.`, "Put a handler there, or look for an ignore file that leaves everything out.");
  const files = found.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  checkCollisions(files.map((file) => file.name));
  return files;
}

async function walk(root: string, folder: string, outer: readonly IgnoreLayer[], found: SourceFile[]): Promise<void> {
  const own = await folderLayer(folder);
  const layers = own === undefined ? outer : [...outer, own];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const absolute = path.join(folder, entry.name);
    if (isIgnored(layers, absolute, entry.isDirectory())) continue;
    const name = path.relative(root, absolute).split(path.sep).join("/");
    checkPath(name);
    if (entry.isSymbolicLink())
      throw refuse(
        `${name} is a symbolic link; archives hold regular files only.`,
        "Replace it by the file itself, or leave it out with a line in .fnctlignore.",
      );
    if (entry.isDirectory()) await walk(root, absolute, layers, found);
    else if (entry.isFile()) found.push({ name, absolute, executable: ((await lstat(absolute)).mode & 0o100) !== 0 });
    else throw refuse(`${name} is neither a file nor a folder.`);
    if (found.length > LIMITS.sourceFiles)
      throw refuse(`There are more than ${LIMITS.sourceFiles} files in ${root}.`, "Leave out generated files and data with .fnctlignore.");
  }
}
