// The built layer: which files it holds, and how it is written so that the same input always gives the same bytes.
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import tar from "tar-stream";
import { BuildFailure } from "./build-failure.ts";

/** Every path in the layer is below this folder, which is /function/code in a sandbox (SANDBOX_PATHS.code). */
const PREFIX = "function/code";
const EPOCH = new Date(0);
/** Never part of an image: history, installed packages (placed apart), and files that may hold registry tokens. */
export const LEFT_OUT: ReadonlySet<string> = new Set([".git", "node_modules", ".npmrc", ".pypirc", ".fnctl"]);

/** Path in the layer (without the prefix) to a file on disk or to bytes. */
export type LayerFiles = Map<string, { path: string; size: number; executable: boolean } | Buffer>;

/** Adds a folder's regular files below `target`; symbolic links (npm's `.bin`) are left out. */
export async function addFolder(
  files: LayerFiles,
  folder: string,
  target: string,
  skip: (relative: string, name: string) => boolean,
): Promise<void> {
  const walk = async (current: string, relative: string): Promise<void> => {
    for (const entry of await readdir(current, { withFileTypes: true })) {
      const path = join(current, entry.name);
      const name = posix.join(relative, entry.name);
      if (skip(name, entry.name)) continue;
      if (entry.isDirectory()) await walk(path, name);
      else if (entry.isFile()) {
        const facts = await stat(path);
        files.set(posix.join(target, name), { path, size: facts.size, executable: (facts.mode & 0o100) !== 0 });
      }
    }
  };
  await walk(folder, "");
}

export function checkLayerSize(files: LayerFiles): void {
  const bytes = [...files.values()].reduce((sum, file) => sum + (Buffer.isBuffer(file) ? file.length : file.size), 0);
  if (bytes > LIMITS.layerBytes)
    throw new BuildFailure(
      `The built package has ${Math.round(bytes / 2 ** 20)} MiB; at most ${LIMITS.layerBytes / 2 ** 20} MiB are allowed.`,
      "Leave out large files with .fnctlignore, or dependencies that are not needed at run time.",
    );
  for (const [count, what] of [[files.size, "files"] as const, [foldersOf(files).size, "folders"] as const])
    if (count > LIMITS.layerFiles)
      throw new BuildFailure(`The built package has ${count} ${what}; at most ${LIMITS.layerFiles} are allowed.`);
}

/** Every folder of the layer: each is an entry of its own, because the platform takes no file in a folder that was not listed. */
function foldersOf(files: LayerFiles): Set<string> {
  const folders = new Set([posix.dirname(PREFIX), PREFIX]);
  for (const path of files.keys())
    for (let folder = posix.dirname(`${PREFIX}/${path}`); folder !== "." && !folders.has(folder); folder = posix.dirname(folder))
      folders.add(folder);
  return folders;
}

/** Writes the tar: entries by byte order of their path, no times, root's, 0644 or 0755. */
export async function writeLayer(files: LayerFiles, output: NodeJS.WritableStream): Promise<void> {
  const pack = tar.pack();
  const names = new Map<string, string | undefined>([...foldersOf(files)].map((folder) => [folder, undefined]));
  for (const path of files.keys()) names.set(`${PREFIX}/${path}`, path);
  const sorted = [...names].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const filling = (async () => {
    for (const [name, key] of sorted) await addEntry(pack, name, key === undefined ? undefined : files.get(key));
    pack.finalize();
  })();
  await Promise.all([
    pipeline(pack, output),
    filling.catch((error: unknown) => {
      pack.destroy(error as Error);
      throw error;
    }),
  ]);
}

async function addEntry(
  pack: tar.Pack,
  name: string,
  file: Buffer | { path: string; size: number; executable: boolean } | undefined,
): Promise<void> {
  const common = { name, mtime: EPOCH, uid: 0, gid: 0, uname: "", gname: "" };
  if (file === undefined || Buffer.isBuffer(file)) {
    const header = file === undefined ? { ...common, type: "directory" as const, mode: 0o755 } : { ...common, mode: 0o644 };
    await new Promise<void>((resolve, reject) => pack.entry(header, file ?? "", (error) => (error ? reject(error) : resolve())));
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const entry = pack.entry({ ...common, mode: file.executable ? 0o755 : 0o644, size: file.size }, (error) =>
      error ? reject(error) : resolve(),
    );
    createReadStream(file.path).on("error", reject).pipe(entry);
  });
}
