// Builds the root file systems of the sandboxes from Debian, npm and PyPI packages, as root, on the host. Cached by a hash of the inputs.
import { createHash } from "node:crypto";
import { access, chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { debianTree } from "./debian.ts";
import { packageFolder } from "./host-packages.ts";
import { RECIPES, bundleScript, inPod, type ProcessSpec } from "./recipes.ts";
import { normaliseTree, tarTree } from "./tree.ts";
import { DEBIAN_PACKAGES, DEBIAN_SUITE, ESBUILD_PACKAGES, NODE_PACKAGE, NPM_CLI, type RootfsName } from "./versions.ts";

export { ROOTFS_NAMES, type RootfsName } from "./versions.ts";

export interface PrepareOptions {
  cacheDir: string;
  /** One line per step that takes more than a moment. */
  progress?: (line: string) => void;
}
export interface PreparedRootfs {
  name: RootfsName;
  folder: string;
  /** The unpacked tree; mount it read-only. */
  rootfs: string;
  /** Deterministic, uncompressed POSIX tar of the tree. */
  tar: string;
  process: ProcessSpec;
  /** The same process in a pod. */
  podProcess: ProcessSpec;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A second call with the same inputs answers at once; a build that was cut off leaves nothing that could be taken for a result. */
export async function prepareRootfs(name: RootfsName, options: PrepareOptions): Promise<PreparedRootfs> {
  if (process.arch !== "x64") throw new Error(`Root file systems are made for x86_64 only so far; this machine is ${process.arch}.`);
  const packageRoot = join(import.meta.dirname, "..");
  const { script } = RECIPES[name];
  const bundled = script === undefined ? undefined : await bundleScript(join(packageRoot, script.entry), script.options(packageRoot));
  const folder = join(options.cacheDir, `${name}-${await inputHash(name, packageRoot, bundled)}`);
  const result = {
    name,
    folder,
    rootfs: join(folder, "rootfs"),
    tar: join(folder, "rootfs.tar"),
    process: structuredClone(RECIPES[name].process),
    podProcess: inPod(RECIPES[name].process),
  };
  if (await exists(folder)) return result;

  const started = performance.now();
  const debian = await preparedDebian(name, options);
  await buildInto(folder, async (temp) => {
    const root = join(temp, "rootfs");
    await cp(debian, root, { recursive: true, verbatimSymlinks: true, mode: 0, preserveTimestamps: false });
    options.progress?.(`${name}: adding runtime`);
    await RECIPES[name].place(root, packageRoot);
    if (script !== undefined && bundled !== undefined) await placeScript(join(root, script.target), bundled);
    await normaliseTree(root);
    await tarTree(root, join(temp, "rootfs.tar"));
  });
  const { size } = await stat(result.tar);
  options.progress?.(`${name}: ${(size / 1e6).toFixed(0)} MB, ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

/** The Debian part changes rarely and takes longest, so it has a cache entry of its own, shared by equal package lists. */
async function preparedDebian(name: RootfsName, options: PrepareOptions): Promise<string> {
  const packages = DEBIAN_PACKAGES[name];
  const recipe = await readFile(join(import.meta.dirname, "debian.ts"));
  const key = createHash("sha256")
    .update(JSON.stringify([DEBIAN_SUITE, packages]))
    .update(recipe)
    .digest("hex")
    .slice(0, 16);
  const folder = join(options.cacheDir, `debian-${key}`);
  if (!(await exists(folder))) {
    options.progress?.(`${name}: unpacking Debian ${DEBIAN_SUITE} packages`);
    await buildInto(folder, (temp) => debianTree(join(temp, "tree"), packages));
  }
  return join(folder, "tree");
}

/** Fills a temporary folder and renames it. When another process was quicker, its result stays and ours goes. */
async function buildInto(folder: string, fill: (temp: string) => Promise<void>): Promise<void> {
  await mkdir(join(folder, ".."), { recursive: true });
  const temp = await mkdtemp(`${folder}.tmp-`);
  try {
    await fill(temp);
    // mkdtemp makes it 0700; a sandbox's own user must pass through.
    await chmod(temp, 0o755);
    await rename(temp, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

async function placeScript(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

async function inputHash(name: RootfsName, packageRoot: string, bundled: Uint8Array = new Uint8Array()): Promise<string> {
  const hash = createHash("sha256")
    .update(JSON.stringify([name, DEBIAN_SUITE, DEBIAN_PACKAGES[name], NPM_CLI]))
    .update(bundled);
  for (const packageName of [NODE_PACKAGE, ...ESBUILD_PACKAGES])
    hash.update(await readFile(join(packageFolder(packageName), "package.json")));
  const files = [
    ...(await filesBelow(join(packageRoot, "base"))),
    ...(await Promise.all(RECIPES[name].sources.map((path) => filesBelow(join(packageRoot, path))))).flat(),
  ];
  for (const file of files.filter((path) => !path.endsWith(".test.ts")).toSorted())
    hash.update(file.slice(packageRoot.length)).update(await readFile(file));
  return hash.digest("hex").slice(0, 16);
}

async function filesBelow(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("__pycache__"))
    .map((entry) => join(entry.parentPath, entry.name));
}

if (import.meta.main) {
  const names = process.argv.slice(2) as RootfsName[];
  const cacheDir = process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";
  for (const name of names) console.log(JSON.stringify(await prepareRootfs(name, { cacheDir, progress: (line) => console.error(line) })));
}
