// Installed npm packages that cannot go into a bundle, and what they need beside them.
import { readFile, readdir, realpath, stat } from "node:fs/promises";
import { join, posix } from "node:path";

const MODULES = "node_modules/";
/** Code that finds files by where it lies would find nothing once it is moved into the bundle. */
const NEEDS_ITS_FOLDER = /\b__dirname\b|\b__filename\b|\bimport\.meta\.(?:url|dirname|filename|resolve)\b|\brequire\.resolve\b/;

/** `@scope/name` or `name` of a path that leads through node_modules. */
export function packageNameOf(path: string): string {
  const parts = path.slice(path.lastIndexOf(MODULES) + MODULES.length).split("/");
  return parts.slice(0, parts[0]?.startsWith("@") === true ? 2 : 1).join("/");
}

/** Of the files a bundle was made of, the packages that must stay as they are. */
export async function unbundleable(source: string, inputs: readonly string[]): Promise<Set<string>> {
  const result = new Set<string>();
  const checked = new Map<string, boolean>();
  for (const input of inputs.filter((path) => path.includes("node_modules/"))) {
    const name = packageNameOf(input);
    if (result.has(name)) continue;
    const folder = join(source, input.slice(0, input.lastIndexOf(MODULES) + MODULES.length), name);
    let native = checked.get(folder);
    if (native === undefined) checked.set(folder, (native = await isNative(folder)));
    if (native || input.endsWith(".node") || NEEDS_ITS_FOLDER.test(await readFile(join(source, input), "utf8"))) result.add(name);
  }
  return result;
}

/** A package with an addon of its own, or one that picks a package per platform (sharp, esbuild, swc …). */
async function isNative(folder: string): Promise<boolean> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) return false;
  if (manifest["gypfile"] === true || manifest["os"] !== undefined || manifest["cpu"] !== undefined) return true;
  const optional = Object.keys(manifest["optionalDependencies"] ?? {});
  if (optional.some((name) => /(?:linux|darwin|win32)-(?:x64|arm64|ia32)/.test(name))) return true;
  const names = await readdir(folder);
  return names.includes("binding.gyp") || names.includes("prebuilds") || names.some((name) => name.endsWith(".node"));
}

/** The packages with all they depend on, as folders below the source; resolution is Node's own, so nested versions stay nested. */
export async function dependencyClosure(source: string, roots: Iterable<string>): Promise<string[]> {
  const folders = new Set<string>();
  const visit = async (name: string, from: string): Promise<void> => {
    const folder = await resolvePackage(source, name, from);
    if (folder === undefined || folders.has(folder)) return;
    folders.add(folder);
    const manifest = (await readManifest(join(source, folder))) ?? {};
    const needed = ["dependencies", "optionalDependencies", "peerDependencies"].flatMap((field) => Object.keys(manifest[field] ?? {}));
    for (const dependency of needed) await visit(dependency, folder);
  };
  for (const root of roots) await visit(root, "");
  return [...folders].toSorted();
}

async function resolvePackage(source: string, name: string, from: string): Promise<string | undefined> {
  for (let at = from; ; at = posix.dirname(at)) {
    const base = at === "." ? "" : at;
    if (posix.basename(base) !== "node_modules") {
      const candidate = posix.join(base, "node_modules", name);
      if (
        await stat(join(source, candidate, "package.json")).then(
          () => true,
          () => false,
        )
      )
        return candidate;
    }
    if (base === "") return undefined;
  }
}

/** Where a package's files really lie; a workspace package is a link. */
export const realFolder = (source: string, folder: string): Promise<string> => realpath(join(source, folder));

async function readManifest(folder: string): Promise<Record<string, unknown> | undefined> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
}
